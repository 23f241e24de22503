"""Wakes for edited spec files, whatever becomes of their folders: removed and made again, linked, on a disk that tells
nothing.

What counts is how the files look: their names, sizes and times, compared every other second. The system's notices of
changes (inotify) only make that quick. They know folders by number, so they are ordered again whenever these change,
and may be short: a system has just so many. `watch` is woken by this, and `doctor` asks whether there are notices.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from sagespec.events import Event, EventKind, Report
from sagespec.load.files import find_files

LOOK_EVERY_SECONDS = 2.0
SPEC_SUFFIXES = (".yaml", ".yml")
_BUSY_SHARE = 50  # a look that takes long is followed by a pause of so many times its length
_SETTLE_SECONDS = 0.05  # some notices come at once
_LIMITS = Path("/proc/sys/fs/inotify")

Looks = Mapping[str, tuple[int, ...]]


@contextmanager
def file_wakes(paths: Sequence[Path], wake: Callable[[], object], report: Report) -> Iterator[None]:
    """Call `wake` whenever the spec files in these files and folders look different."""
    left, noticed = threading.Event(), threading.Event()
    notices = _Notices(noticed.set, report)
    looks = _looks(paths)
    notices.order(_folders(paths, looks))

    def compare() -> None:
        nonlocal looks
        while not left.is_set():
            begun = time.monotonic()
            before, looks = looks, _looks(paths)
            if looks != before:
                wake()
            notices.order(_folders(paths, looks))
            noticed.wait(max(LOOK_EVERY_SECONDS, _BUSY_SHARE * (time.monotonic() - begun)))
            left.wait(_SETTLE_SECONDS)
            noticed.clear()

    thread = threading.Thread(target=compare, name="edits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        noticed.set()
        thread.join()
        notices.end()


def no_notices(paths: Sequence[Path]) -> str:
    """Why the system cannot tell of changes of these files and folders; '' when it can."""
    told: list[str] = []
    notices = _Notices(lambda: None, lambda event: told.append(event.text))
    notices.order(_folders(paths, _looks(paths)))
    notices.end()
    return "".join(told)


def limits() -> str:
    """The system's limits of notices, as `sysctl` knows them."""
    names = ("max_user_instances", "max_user_watches")
    found = [(name, _LIMITS / name) for name in names if (_LIMITS / name).is_file()]
    return ", ".join(f"fs.inotify.{name} is {file.read_text().strip()}" for name, file in found)


def _looks(paths: Sequence[Path]) -> Looks:
    """How each spec file looks, by its name and the file that this leads to."""
    found: dict[str, tuple[int, ...]] = {}
    for file in find_files(paths, Path())[0]:
        name = f"{file}\0{os.path.realpath(file)}"
        found[name] = ()
        with suppress(OSError):
            status = file.stat()
            found[name] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


def _folders(paths: Sequence[Path], looks: Looks) -> dict[Path, tuple[bool, int]]:
    """The folders whose changes matter, links resolved, each with whether its subfolders count and its number on disk.

    Those that the files are in, since editors replace files, and those above what was named, which may be made again.
    """
    recursive = {Path(os.path.realpath(path)) for path in paths if path.is_dir()}
    files = (Path(name.rpartition("\0")[2]).parent for name in looks)
    single = {Path(os.path.realpath(path.parent)) for path in paths} | set(files)
    single = {folder for folder in single if not any(folder.is_relative_to(above) for above in recursive)}
    found: dict[Path, tuple[bool, int]] = {}
    for folder in sorted(recursive | single):
        with suppress(OSError):  # gone meanwhile
            found[folder] = folder in recursive, folder.stat().st_ino
    return found


class _Observer(Protocol):
    def stop(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


class _Notices(FileSystemEventHandler):
    """The system's notices of changes, as far as there are any; why there are not is told once."""

    def __init__(self, notice: Callable[[], object], report: Report) -> None:
        self._notice, self._report = notice, report
        self._ordered: dict[Path, tuple[bool, int]] = {}
        self._observer: _Observer | None = None
        self._is_told = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        changed = event.event_type in ("created", "modified", "deleted", "moved")
        names = (str(event.src_path), str(event.dest_path))
        if changed and (event.is_directory or any(name.endswith(SPEC_SUFFIXES) for name in names)):
            self._notice()

    def order(self, folders: dict[Path, tuple[bool, int]]) -> None:
        """Ask for the notices of these folders, unless they are the ones already asked for."""
        if folders == self._ordered:
            return
        self.end()
        self._ordered = folders
        observer = Observer()
        try:
            for folder, (recursive, _) in folders.items():
                observer.schedule(self, str(folder), recursive=recursive)
            observer.start()
            self._observer = observer
        except OSError as error:
            observer.unschedule_all()
            if not self._is_told:
                self._is_told = True
                text = f"edits are noticed within {LOOK_EVERY_SECONDS:g} s, not at once: {error.strerror or error}"
                self._report(Event(EventKind.NOTE, text=text, at=datetime.now(UTC)))

    def end(self) -> None:
        if self._observer:
            self._observer.stop()
            self._observer.join()
            self._observer = None
