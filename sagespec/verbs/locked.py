"""The project's lock round a verb that changes something, and the tidying that only its holder may do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.parts import Parts
from sagespec.records.lock import ProjectLock, project_lock


@contextmanager
def locked(
    parts: Parts,
    command: str,
    report: Report,
    *,
    wait_seconds: float = 0.0,
    pause: Callable[[float], object] = time.sleep,
    say_runtime: bool = True,
) -> Iterator[ProjectLock]:
    """Holds the lock; LockHeld if another process keeps it for longer than `wait_seconds`."""
    _refuse_other_runtime(parts)
    if say_runtime:
        report_runtime(parts, report)
    with project_lock(
        parts.store, parts.settings.name, command=command, wait_seconds=wait_seconds, report=report, sleep=pause
    ) as lock:
        _sweep(parts)
        parts.last_runtime_file.write_text(parts.runtime.name + "\n")
        yield lock
        parts.inputs.sweep(parts.settings.name)


def report_runtime(parts: Parts, report: Report) -> None:
    name = parts.runtime.name  # first: choosing it gives the reason
    report(Event(EventKind.RUNTIME, text=parts.runtime_reason or name))


def _refuse_other_runtime(parts: Parts) -> None:
    """One project on two engines would fight over the gateway's port and over the endpoints' history."""
    last, now = parts.last_runtime(), parts.runtime.name
    if last and last != now:
        raise WorldError(
            f"this project runs under the runtime {last}, not {now}",
            why="two at once would share its port and its history",
            fix=f"`sagespec destroy --runtime {last}` first; models and history stay in the store",
        )


def _sweep(parts: Parts) -> None:
    """Delete what a killed run left; no other run uses the folder while we hold the lock."""
    for left in parts.scratch.iterdir():
        shutil.rmtree(left, ignore_errors=True)
    parts.inputs.sweep(parts.settings.name)
