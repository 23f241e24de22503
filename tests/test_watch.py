"""What wakes a pass, and what does not end the watch."""

from __future__ import annotations

import threading
from pathlib import Path

from sagespec.converge import Converged
from sagespec.events import Event, EventKind
from sagespec.plan import Plan
from sagespec.watch import watch
from tests.fakes import FakeEngine, FakeRuntime


def test_a_disk_that_refuses_is_told_and_the_next_pass_comes(tmp_path: Path) -> None:
    cancelled, events, passes = threading.Event(), list[Event](), 0

    def converge_once() -> Converged:
        nonlocal passes
        passes += 1
        if passes == 1:
            (tmp_path / "spec.yaml").write_text("")  # somebody edits: no need to wait
            raise OSError(28, "No space left on device", "/project/.sagespec")
        cancelled.set()
        return Converged(Plan())

    watch(
        converge_once,
        FakeRuntime("acme", FakeEngine()),
        [tmp_path],
        events.append,
        cancelled,
        every_seconds=60,
    )
    assert passes == 2
    (told,) = (event for event in events if event.kind is EventKind.FAILED)
    assert "No space left on device" in told.text
