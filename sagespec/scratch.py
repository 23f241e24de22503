"""Folders for what may be lost, one for each process: removed with it, or swept by the next one after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sagespec.private import make_folder


@contextmanager
def own_folder(above: Path) -> Iterator[Path]:
    """A new folder in `above`, ours while the block runs: nobody sweeps it."""
    make_folder(above)
    made = None
    while made is None:
        made = _locked_folder(above)
    folder, handle = made
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _locked_folder(above: Path) -> tuple[Path, int] | None:
    """A new folder and the handle that locks it; None if somebody swept it before it was locked."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=above))
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(handle, fcntl.LOCK_EX)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return folder, handle
    os.close(handle)
    return None


def sweep(above: Path) -> None:
    """Delete the folders in `above` of processes that have ended: the kernel lets go of a lock however they did."""
    for folder in above.iterdir() if above.is_dir() else ():
        with suppress(FileNotFoundError, NotADirectoryError, BlockingIOError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
