"""Tells people of changes of state while a loop runs, where `notify` in sagespec.yaml asks for it.

It listens in on what the loop does anyway, as `monitor` does, and compares what is so at the end of its passes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self

from sagespec.events import Event, EventKind, Report
from sagespec.notify.conditions import Condition, Key, conditions, repairs
from sagespec.notify.notices import Notice, Notices
from sagespec.notify.sender import About, Sender
from sagespec.parts import Parts
from sagespec.passes import Run
from sagespec.plan import RunJob
from sagespec.private import write_private
from sagespec.spec.notify import Notify, Topic
from sagespec.state.source import SourceRecord
from sagespec.state.undelivered import Undelivered


class Notifier:
    """record: of the branch that is followed, if one is."""

    def __init__(self, parts: Parts, record: Callable[[], SourceRecord] | None = None) -> None:
        self._parts, self._record = parts, record
        self._file = parts.kept / "notices.json"  # what people were told
        self._report: Report = lambda _event: None
        self._notices = self._read()
        self._one_at_a_time = threading.Lock()
        self._settings: tuple[Notify, ...] = ()
        self._senders: list[Sender] = []

    def heard(self, report: Report) -> Report:
        self._report = report

        def hear(event: Event) -> None:
            report(event)
            self._hear(event)

        return hear

    def settled(self, run: Run) -> None:
        """Passes have come as far as they can."""
        record = self._record() if self._record else None
        with self._one_at_a_time:
            self._send(self._notices.see(conditions(run.plan, record, run.repairs.flapping()), datetime.now(UTC)))

    def undelivered(self) -> tuple[Undelivered, ...]:
        """The addresses that take no messages."""
        return tuple(found for sender in self._senders if (found := sender.undelivered))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._leave()
        for sender in self._senders:
            sender.wait()

    def _leave(self) -> None:
        for sender in self._senders:
            sender.leave()

    def _hear(self, event: Event) -> None:
        now, found = datetime.now(UTC), dict[Key, Condition]()
        if event.plan:
            for about, why in repairs(event.plan).items():
                found[Key(Topic.DRIFT, about)] = Condition(f"is repaired: {why}")
        elif event.kind is EventKind.FINISHED and event.action == RunJob.verb:
            found = {Key(Topic.TRAINED, event.about): Condition("its model is in the store")}
        if found:
            with self._one_at_a_time:
                told = (self._notices.happened(key, condition, now) for key, condition in found.items())
                self._send([notice for one in told for notice in one])

    def _send(self, notices: Iterable[Notice]) -> None:
        settings = self._parts.settings
        if settings.notify != self._settings:
            self._leave()
            self._settings = settings.notify
            self._senders = [Sender(one, self._parts.secrets.open, self._report) for one in settings.notify]
        if not self._senders:
            return
        record = self._record() if self._record else None
        about = About(settings.name, self._parts.environment, record.working if record else "")
        for notice in notices:
            for sender in self._senders:
                sender.send(notice, about)
        with suppress(OSError):
            write_private(self._file, json.dumps(self._notices.as_json(), indent=1) + "\n")

    def _read(self) -> Notices:
        try:
            return Notices.from_json(json.loads(self._file.read_bytes()))
        except (OSError, ValueError):
            return Notices()
