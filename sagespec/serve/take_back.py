"""Judges the rollouts that have begun while nothing can be recorded, and takes back what fails.

For the time in which the store is away or silent; `standby` knows when that is. What it sees it remembers, and the next
pass that gets through starts from there: it records why, or has not lost a look. No step is taken meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.gateway.gateway import Gateway
from sagespec.observe import judged_again
from sagespec.plan import SetRoutes
from sagespec.reconcile.given import Given
from sagespec.reconcile.options import Options
from sagespec.reconcile.rollouts import judge_unrecorded
from sagespec.runtimes.protocol import Runtime
from sagespec.serve.health import container_addresses
from sagespec.state.addresses import endpoint_address
from sagespec.state.observed import Observed
from sagespec.state.progress import Progress
from sagespec.state.suspension import is_suspended


class TakeBack:
    """The rollouts that one run has seen. runtime, gateway: as of now. count: takes in what came to an endpoint, once
    the store answers again; its weights have changed meanwhile."""

    def __init__(
        self,
        project_name: str,
        runtime: Callable[[], Runtime],
        gateway: Callable[[], Gateway],
        report: Report,
        *,
        count: Callable[[str], None] = lambda _name: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._project_name, self._runtime, self._gateway = project_name, runtime, gateway
        self._report, self._count, self._now = report, count, now
        self._observed = Observed()  # by the last pass
        self._seen: dict[str, Progress] = {}  # by endpoint, since then
        self._uncounted: set[str] = set()

    def note(self, observed: Observed) -> Observed:
        """Remember what a pass has seen; the same with what was seen of rollouts since the store was last written."""
        kept = {
            name: seen
            for name, seen in self._seen.items()
            if (stored := observed.rollouts.get(name)) and stored == self._observed.rollouts.get(name)
        }
        self._observed, self._seen = observed, kept
        return replace(observed, rollouts={**observed.rollouts, **kept}) if kept else observed

    def catch_up(self) -> None:
        """Once the store answers."""
        while self._uncounted:
            self._count(self._uncounted.pop())

    def look(self) -> None:
        """Judge what has a share of the traffic now. What does not answer is asked again by the next look."""
        rollouts = {**self._observed.rollouts, **self._seen}
        if not rollouts:
            return
        with suppress(WorldError):
            observed = judged_again(self._observed, self._runtime(), self._gateway())
            for name, progress in rollouts.items():
                if is_suspended(self._observed.suspensions, endpoint_address(name), self._now()):
                    continue
                given = Given(self._project_name, observed, self._now(), Options())
                self._seen[name], route = judge_unrecorded(progress, given)
                if route:
                    self._carry_out(route)

    def _carry_out(self, action: SetRoutes) -> None:
        name = action.about.name
        self._gateway().set_route(name, action.route, container_addresses(self._runtime()))
        self._uncounted.add(name)
        text = f"{action.cause.note}; it is recorded when the store answers"
        self._report(Event(EventKind.NOTE, str(action.about), text, at=self._now()))
