"""Views: folders of links that show a host what it may see, locked while in use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sagespec.errors import disk_problems


def take_lock(folder: Path, held: ExitStack) -> bool:
    """Make a folder and be alone in it until `held` is closed; whether nobody removed it in between."""
    with disk_problems(f"cannot write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return held.enter_context(lock_of(folder))
        except FileNotFoundError:
            return False


@contextmanager
def lock_of(folder: Path, flags: int = 0) -> Iterator[bool]:
    """Alone in a folder; whether it is still the one of that name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | flags)
        yield folder.exists() and os.path.samestat(os.fstat(handle), folder.stat())
    finally:
        os.close(handle)
