"""Where a server of a project listens, written down for other programs while it does: .sagespec/api.json, or
.sagespec/environments/prod/api.json. In each, `folder` is that of the project as it is in its environment.

A lock of the system's tells whether it still does. It ends with its process however that ends, so that nothing which a
killed one has left is in the way of the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sagespec.errors import WorldError, disk_problems
from sagespec.private import make_folder, write_private

_PATIENCE_SECONDS = 0.5  # a reader holds the lock for a moment, too


@dataclass(frozen=True)
class Place:
    url: str
    pid: int


@contextmanager
def claimed(folder: Path, server: str) -> Iterator[None]:
    """The right to be the project's one `server` (api, dashboard). WorldError when another process is it."""
    with disk_problems(f"cannot write {folder}"):
        make_folder(folder)
        lock = os.open(folder / f"{server}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _taken(lock, fcntl.LOCK_EX, time.monotonic() + _PATIENCE_SECONDS):
            raise _running(folder, server)
        (folder / f"{server}.json").unlink(missing_ok=True)  # of one that was killed
        try:
            yield
        finally:
            (folder / f"{server}.json").unlink(missing_ok=True)
    finally:
        os.close(lock)


def write_place(folder: Path, server: str, url: str) -> None:
    """Say where it listens. Only for who has claimed it."""
    file = folder / f"{server}.json"
    with disk_problems(f"cannot write {file}"):
        write_private(file, json.dumps({"url": url, "pid": os.getpid()}))
        file.with_suffix(".port").write_text(f"{urlsplit(url).port}\n")


def last_port(folder: Path, server: str) -> int | None:
    """The port it had the last time: clients that were given it find it there again, however it ended."""
    try:
        return int((folder / f"{server}.port").read_text())
    except (OSError, ValueError):
        return None


def place_of(folder: Path, server: str) -> Place | None:
    """Where the project's server listens; None when none runs."""
    try:
        lock = os.open(folder / f"{server}.lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _taken(lock, fcntl.LOCK_SH, 0.0) else _written(folder / f"{server}.json")
    finally:
        os.close(lock)


def _taken(lock: int, kind: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)


def _written(file: Path) -> Place | None:
    try:
        found = json.loads(file.read_text())
        return Place(str(found["url"]), int(found["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _running(folder: Path, server: str) -> WorldError:
    place = _written(folder / f"{server}.json")
    who = f"pid {place.pid} listens at {place.url}" if place else "another process is starting it"
    fix = f"use that one, or end it with: kill {place.pid}" if place else "wait a moment, and try again"
    return WorldError(f"`sagespec {server}` runs for this project already", why=who, fix=fix)
