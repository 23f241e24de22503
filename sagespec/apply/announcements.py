"""What one run tells of its plans: each once, though every pass makes one."""

from __future__ import annotations

from collections.abc import Collection

from sagespec.events import Event, EventKind, Report
from sagespec.ongoing import Running
from sagespec.plan import Plan


class Announcements:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: set[str] = set()  # ids of actions
        self._told_running: set[Running] = set()

    def tell(self, todo: Plan) -> None:
        """A plan that holds what no earlier one of this run did, and whose job is waited for."""
        ids = {action.id for action in todo if not action.is_quiet}
        if ids - self._told:
            self._told |= ids
            self._report(Event(EventKind.PLANNED, plan=todo, total=len(todo.actions)))
        waited_for = {running for running in todo.running if running.is_needed}
        for running in sorted(waited_for - self._told_running, key=lambda running: running.about):
            self._report(Event(EventKind.NOTE, str(running.about), running.text))
        self._told_running = waited_for

    def tell_rolling(self, plan: Plan) -> None:
        """Where rollouts are, each time: whoever shows it knows what is new."""
        for rolling in plan.rolling:
            self._report(Event(EventKind.ROLLING, str(rolling.about), rolling.text, rolling=rolling))

    def forget_but(self, ids: Collection[str]) -> None:
        """Of a run without an end: what it does now is told again, but for these actions that last."""
        self._told &= set(ids)
