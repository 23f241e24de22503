"""The files of specs that sagespec writes: known by their first line, written whole or not at all, by one at a time.

A file without that line is somebody's own, and is never touched: what would have had its name gets another one
(`places`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.load.trees import commit_of
from sagespec.private import NAME, make_folder, share_like_its_folder

MARK = "# Written by sagespec"
# Beside specs/, since every *.yaml below that is read as a spec, and a script's folder may hold some of its own.
CODE_FOLDER = "code"
_LONGEST_MARKED_LINE = 1000


def is_ours(path: Path) -> bool:
    """Whether sagespec has written the file. One whose first line was removed is its new owner's."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline(_LONGEST_MARKED_LINE).startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False


def write(path: Path, text: str) -> None:
    """Put `text`, whose first line begins with MARK, in the place of the file. A crash leaves the old file or the new.

    FileExistsError when the file is not ours.
    """
    assert text.startswith(MARK)
    if path.exists() and not is_ours(path):
        raise FileExistsError(f"{path} was not written by sagespec")
    make_folder(path.parent)
    with _beside(path, text.encode()) as beside:
        share_like_its_folder(beside)


def put(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file, whoever wrote that; its mode stays. A crash leaves the old or the new."""
    mode = path.stat().st_mode
    with _beside(path, content) as beside:
        beside.chmod(mode)


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """A file with the content, which takes the place of `path` at the end of the block."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove(path: Path) -> bool:
    """Remove the file if it is ours; whether it was."""
    if not is_ours(path):
        return False
    path.unlink(missing_ok=True)
    return True


@contextmanager
def one_writer(root: Path) -> Iterator[None]:
    """While somebody in this project, in whatever process, decides what a file is to say and writes it.

    WorldError in the tree of a followed commit: what is written there would be applied as if that commit said it.
    """
    if commit := commit_of(root):
        raise WorldError(
            f"the specs of {commit[:12]} are not edited here",
            why="this project follows a branch, and applies what its commits say and nothing else",
            fix="edit them in a checkout of the repository, and push",
        )
    make_folder(root / NAME)
    with (root / NAME / "writing.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, or the process dies
        yield
