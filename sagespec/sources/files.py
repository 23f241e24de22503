"""What is in a folder of your own: its files in order, and one hash over them.

`code` fingerprints and ships scripts with it, `build` what is sent to a build. What no program needs is left out:
version control, caches, and whatever sagespec itself keeps, wherever it is. What is no program is refused before it is
read: a FIFO, the whole disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from sagespec.errors import WorldError

NEVER_SHIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".ipynb_checkpoints", ".sagespec"})
STORE_LOCK = ".sagespec-lock"  # in the folder of a store that has been written to
MAX_FILES = 100_000  # as in an archive

_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

Judge = Callable[[str], bool]  # of a path relative to the folder, with forward slashes


def is_shipped(path: str) -> bool:
    """Whether a file goes along; `path` is relative, with forward slashes."""
    return NEVER_SHIPPED.isdisjoint(path.split("/")) and not path.endswith(".pyc")


def files_of(folder: Path, is_wanted: Judge = is_shipped, enters: Judge = lambda _: True) -> Iterator[str]:
    """The files below `folder` that are wanted, and links, as sorted relative paths. enters: whether a folder is
    looked into.

    WorldError when they are too many to be a program.
    """
    if folder.resolve() == Path(folder.resolve().anchor):
        raise WorldError(
            f"{folder} is the whole disk, not the folder of a program", fix="name the folder of the program"
        )
    found: list[str] = []
    ahead = [""]
    while ahead:
        at = ahead.pop()
        for item in _items(folder / at):
            path = at + item.name
            if not item.is_dir(follow_symlinks=False):
                found += [path] if is_wanted(path) else []
            elif not _is_ours(item) and enters(path):
                ahead.append(f"{path}/")
        if len(found) > MAX_FILES:
            raise too_large(folder, f"{MAX_FILES:,} files")
    return iter(sorted(found))


def _items(folder: Path) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as items:
        return list(items)
    return []  # one that we may not read may be ignored all the same


def _is_ours(folder: os.DirEntry[str]) -> bool:
    """Whether a folder is never shipped; a store may be anywhere."""
    return folder.name in NEVER_SHIPPED or Path(folder.path, STORE_LOCK).is_file()


def digest_of(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def named(path: str, content: bytes) -> bytes:
    return f"{path}\0".encode(errors="surrogateescape") + content


def content_of(file: Path, *, is_followed: bool = False) -> bytes:
    """What counts of a file; is_followed: a link counts for the file it leads to."""
    if file.is_symlink() and not is_followed:
        return f"link {os.readlink(file)}\n".encode(errors="surrogateescape")  # noqa: PTH115  # as text, not resolved
    kind = stat.S_IFMT(file.stat().st_mode)
    if kind != stat.S_IFREG:  # a FIFO would be waited for
        raise _no_file(file, kind)
    with file.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{'x' if os.access(file, os.X_OK) else '-'} {content}\n".encode()


def _no_file(file: Path, kind: int) -> WorldError:
    return WorldError(
        f"{file} is {_KINDS.get(kind, 'no file')}",
        why="the folder of a program has files, folders and links",
        fix="remove it from there, or name another folder",
    )


def too_large(source: Path, limit: str) -> WorldError:
    return WorldError(
        f"{source} has more than {limit}",
        why="all of them would be part of the program",
        fix="name a folder that has the program alone; data belongs into a channel",
    )
