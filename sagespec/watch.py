"""The loop that keeps reality up to date with the specs: woken by files, by the engine, and by a timer.

Called by `verbs`. What woke it does not matter to what is done: each pass looks at everything again.
Passes that find nothing to do say nothing. After a pass that failed the next one waits, longer each
time, so that a broken thing is not hammered; an edited spec ends the wait at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from sagespec.converge import Converged
from sagespec.errors import SagespecError, WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.runtimes.protocol import Runtime

FILES, ENGINE, TIMER = "files", "engine", "timer"
SPEC_SUFFIXES = (".yaml", ".yml")
BURST_SECONDS = 0.3  # editors write a file in several steps
LONGEST_WAIT_SECONDS = 60.0
REOPEN_SECONDS = 5.0


def watch(
    converge_once: Callable[[], Converged],
    runtime: Runtime,
    paths: Sequence[Path],
    report: Report,
    cancelled: threading.Event,
    *,
    every_seconds: float,
) -> None:
    """Converge on every wake until `cancelled` is set. paths: files and folders that hold the specs."""
    wakes: queue.SimpleQueue[str] = queue.SimpleQueue()
    failures = 0
    with _file_wakes(paths, wakes), _engine_wakes(runtime, wakes, report):
        cause = "start"
        while not cancelled.is_set():
            if _pass(converge_once, report, cause, after_failure=failures > 0):
                failures = 0
                cause = _next_wake(wakes, cancelled, every_seconds)
            else:
                failures += 1
                wait = min(2.0**failures, LONGEST_WAIT_SECONDS)
                cause = _next_wake(wakes, cancelled, wait, only=FILES)
            _skip_burst(wakes, cancelled)


def _pass(converge_once: Callable[[], Converged], report: Report, cause: str, *, after_failure: bool) -> bool:
    """One pass; whether nothing in it failed. Wrong specs and errors of the world or disk are reported, not raised."""
    try:
        result = converge_once()
    except (SagespecError, OSError) as error:
        report(Event(EventKind.FAILED, text=str(error), action="watch", at=datetime.now(UTC)))
        return False
    if result.outcomes or after_failure:
        text = "everything is up to date" if result.ok else f"{len(result.failures)} failed"
        report(Event(EventKind.SETTLED, text=f"{text} (woken by {cause})", at=datetime.now(UTC)))
    return not result.failures


def _next_wake(
    wakes: queue.SimpleQueue[str], cancelled: threading.Event, seconds: float, *, only: str | None = None
) -> str:
    """What wakes next: one of `wakes` (of the kind `only`, when given), or the timer after `seconds`."""
    end = datetime.now(UTC).timestamp() + seconds
    while not cancelled.is_set() and (left := end - datetime.now(UTC).timestamp()) > 0:
        try:
            cause = wakes.get(timeout=min(left, 0.2))
        except queue.Empty:
            continue
        if only in (None, cause):
            return cause
    return TIMER


def _skip_burst(wakes: queue.SimpleQueue[str], cancelled: threading.Event) -> None:
    """Wait for the burst of events that follows a first one, and forget it: one pass answers them all."""
    cancelled.wait(BURST_SECONDS)
    while True:
        try:
            wakes.get_nowait()
        except queue.Empty:
            return


class _SpecEvents(FileSystemEventHandler):
    def __init__(self, wakes: queue.SimpleQueue[str]) -> None:
        self._wakes = wakes

    def on_any_event(self, event: FileSystemEvent) -> None:
        changed = event.event_type in ("created", "modified", "deleted", "moved")
        names = (str(event.src_path), str(event.dest_path))
        if changed and (event.is_directory or any(name.endswith(SPEC_SUFFIXES) for name in names)):
            self._wakes.put(FILES)


@contextmanager
def _file_wakes(paths: Sequence[Path], wakes: queue.SimpleQueue[str]) -> Iterator[None]:
    observer = Observer()
    handler = _SpecEvents(wakes)
    for folder, recursive in _watched(paths):
        observer.schedule(handler, str(folder), recursive=recursive)
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def _watched(paths: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Folders to watch, each with whether its subfolders count; a file is watched through its folder, since
    editors replace files. Of a folder that is named twice the recursive watch wins."""
    found: dict[Path, bool] = {}
    for path in paths:
        folder, recursive = (path, True) if path.is_dir() else (path.parent, False)
        if folder.is_dir():
            found[folder] = found.get(folder, False) or recursive
    return sorted(found.items())


@contextmanager
def _engine_wakes(runtime: Runtime, wakes: queue.SimpleQueue[str], report: Report) -> Iterator[None]:
    """Wakes from the engine's events. Where their stream ends (the engine was restarted), it is opened again;
    until then the timer works alone."""
    leaving = threading.Event()
    streams: list[AbstractContextManager[Iterator[str]]] = []

    def pump() -> None:
        while not leaving.is_set():
            try:
                streams.append(runtime.events())
                for _ in streams[-1].__enter__():
                    wakes.put(ENGINE)
            except WorldError as error:
                if not leaving.is_set():
                    report(Event(EventKind.NOTE, text=f"the engine's events ended; the timer continues: {error}"))
            leaving.wait(REOPEN_SECONDS)
            wakes.put(ENGINE)  # what happened meanwhile was not reported

    threading.Thread(target=pump, name="engine-events", daemon=True).start()
    try:
        yield
    finally:
        leaving.set()
        for stream in streams[-1:]:
            stream.__exit__(None, None, None)
