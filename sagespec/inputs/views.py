"""Views: folders of links that show a host what it may see, locked while a job is being started.

A view stays as long as its job has containers; `sweep` removes the others.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sagespec.errors import disk_problems
from sagespec.private import make_folder
from sagespec.runtimes.protocol import Runtime
from sagespec.state.labels import container_name

WITNESS_SECONDS = 600.0  # longer than any engine takes to look at one
_WITNESS = ".probe-"


@contextmanager
def witness(views: Path) -> Iterator[str]:
    """The name of a file in `views`, by which we test whether the engine can see the folder."""
    with tempfile.NamedTemporaryFile(dir=views, prefix=_WITNESS) as file:
        Path(file.name).chmod(0o644)
        yield Path(file.name).name


@contextmanager
def empty_view(view: Path) -> Iterator[Path]:
    """The folder, empty and locked while the block runs."""
    with ExitStack() as held:
        while not _take_lock(view, held):
            continue  # swept while we waited
        for left in view.iterdir():  # by a start that was cut short
            shutil.rmtree(left)
        yield view


def sweep(views: Path, runtime: Runtime, project_name: str) -> None:
    """Remove the views of jobs without containers; those of a job that is being started are locked. And witnesses of
    killed processes."""
    for left in views.glob(f"{_WITNESS}*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > WITNESS_SECONDS:
                left.unlink()
    for view in views.glob(f"sagespec_{project_name}_*"):
        with suppress(FileNotFoundError, NotADirectoryError, BlockingIOError), _lock_of(view, fcntl.LOCK_NB):
            whole = ((container.address.whole, container.hash) for container in runtime.containers())
            if view.name not in {container_name(project_name, *job) for job in whole}:
                shutil.rmtree(view, ignore_errors=True)


def _take_lock(folder: Path, held: ExitStack) -> bool:
    """Create a folder and lock it until `held` is closed; False if it was removed before it could be locked."""
    with disk_problems(f"cannot write {folder}"):
        try:
            make_folder(folder)
            return held.enter_context(_lock_of(folder))
        except FileNotFoundError:
            return False
        except FileExistsError:  # as `mkdir` says, too, of a folder that is swept before it looks what is there
            if folder.exists() and not folder.is_dir():
                raise
            return False


@contextmanager
def _lock_of(folder: Path, flags: int = 0) -> Iterator[bool]:
    """Lock a folder; yields whether it is still the folder of that name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | flags)
        yield folder.exists() and os.path.samestat(os.fstat(handle), folder.stat())
    finally:
        os.close(handle)
