"""The containers of a job as they are seen to end, and how they are made to.

`Trainer` looks here again and again. An engine that does not answer is waited for: it may be restarted under the
job. What ended meanwhile is remembered as such, because its exit code then says little.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sagespec.contract import STOP_GRACE_SECONDS
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.inputs.pipes import feeder_failure
from sagespec.run.faults import Ending, Seen
from sagespec.runtimes.protocol import Runtime
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState

ENDING_FILE = "input/config/sagespec-ending.json"
SETTLING_SECONDS = 10.0  # after an engine answers again, in which it finds out what became of its containers


class Hosts:
    """The containers of `launches`, by alias. containers: None for one that vanished; seen: of those that ended.

    feeders_fault: why the companions feed them no more; '' while they do.
    """

    def __init__(
        self,
        runtime: Runtime,
        launches: Sequence[Launch],
        feeders: Sequence[Launch],
        report: Report,
        patience_seconds: float,
    ) -> None:
        self.containers: dict[str, Container | None] = {}
        self.seen: dict[str, Seen] = {}
        self.feeders_fault = ""
        self._runtime = runtime
        self._launches = launches
        self._feeders = feeders
        self._report = report
        self._patience_seconds = patience_seconds
        self._ran: set[str] = set()  # seen running
        self._away_since: float | None = None
        self._unsure_until = 0.0

    def tell(self, text: str) -> None:
        self._report(Event(EventKind.NOTE, str(self._launches[0].address.whole), text, action="run-job"))

    def are_there(self) -> bool:
        """Whether there is any container: one that is missing alone has vanished."""
        return any(self._runtime.inspect(launch.name) for launch in self._launches)

    def look(self) -> bool:
        """Look at all hosts; False when the engine does not answer. WorldError when that lasts too long."""
        try:
            self.containers = {launch.alias: self._runtime.inspect(launch.name) for launch in self._launches}
            faults = (feeder_failure(self._runtime, feeder) for feeder in self._feeders)
            self.feeders_fault = next(filter(None, faults), "")
        except WorldError as error:
            self._note_absence(error)
            return False
        now = time.monotonic()
        if self._away_since is not None:
            self.tell(f"the engine answers again, after {now - self._away_since:.0f} s")
            self._away_since, self._unsure_until = None, now + SETTLING_SECONDS
        for alias, container in self.containers.items():
            if container and container.state is not ContainerState.EXITED:
                self._ran.add(alias)
            elif alias not in self.seen:
                self.seen[alias] = self._how_seen(alias, container, is_unsure=now < self._unsure_until)
        return True

    def _how_seen(self, alias: str, container: Container | None, *, is_unsure: bool) -> Seen:
        """An engine that only did not answer for a moment has seen the end; one that was started anew has not."""
        if is_unsure and container:
            with suppress(WorldError):
                is_unsure = not self._runtime.saw_end(container.name)
        if is_unsure:
            return Seen.AWAY
        return Seen.WATCHED if alias in self._ran else Seen.UNWATCHED

    def _note_absence(self, error: WorldError) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self.tell(f"{error.problems[0].what}; waiting for it up to {self._patience_seconds:g} s")
        elif now - self._away_since > self._patience_seconds:
            raise error

    @property
    def ended(self) -> tuple[str, ...]:
        """Aliases of the hosts that have ended or vanished."""
        return tuple(self.seen)

    @property
    def have_all_ended(self) -> bool:
        return len(self.seen) == len(self._launches)

    @property
    def have_failed(self) -> bool:
        """Whether a host that has ended leaves the others without hope."""
        return any(
            seen is Seen.AWAY or (container := self.containers[alias]) is None or container.exit_code
            for alias, seen in self.seen.items()
        )

    def ending(self) -> Ending | None:
        """Why an earlier run, or this one, stopped the hosts; None when nobody did."""
        for launch in self._launches:
            content = self._runtime.read(launch.name, ENDING_FILE) if self.containers.get(launch.alias) else None
            if content:
                return Ending.model_validate_json(content)
        return None

    def stop(self, ending: Ending) -> None:
        """SIGTERM to all at once, 120 s, SIGKILL. The reason is noted first, for whoever comes if we are killed."""
        note = {ENDING_FILE: ending.model_dump_json().encode()}
        names = [launch.name for launch in self._launches if self.containers.get(launch.alias)]
        for name in names:
            with suppress(WorldError):  # one that vanishes now needs no note
                self._runtime.write(name, note)
        with ThreadPoolExecutor(max(1, len(names))) as pool:
            list(pool.map(lambda name: self._runtime.stop(name, grace_seconds=STOP_GRACE_SECONDS), names))
        self.look()

    def remove(self) -> None:
        for launch in (*self._launches, *self._feeders):
            self._runtime.remove(launch.name)
