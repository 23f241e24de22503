"""What is in a folder of your own: its files in order, and one hash over them.

`resolve` fingerprints scripts and build contexts with it; `run` and the runtimes ship the same files. What no
program needs is left out: version control, caches. What is no program is refused before it is read: a FIFO, a link
that leads back into its own folder, the whole disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from sagespec.errors import WorldError, disk_problems

NEVER_SHIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".ipynb_checkpoints", ".sagespec"})
MAX_FILES = 100_000  # as in an archive
MAX_BYTES = 2 * 2**30

_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

Identity = tuple[int, int]  # device and inode of a folder


def is_shipped(path: str) -> bool:
    """Whether a file goes along; `path` is relative, with forward slashes."""
    return NEVER_SHIPPED.isdisjoint(path.split("/")) and not path.endswith(".pyc")


def files_of(folder: Path, is_wanted: Callable[[str], bool] = is_shipped) -> Iterator[str]:
    """The files below `folder` that are wanted, links to files included, as sorted relative paths.

    WorldError when they are too many to be a program.
    """
    if folder.resolve() == Path(folder.resolve().anchor):
        raise WorldError(
            f"{folder} is the whole disk, not the folder of a program", fix="name the folder of the program"
        )
    found: list[str] = []
    for above, folders, files in os.walk(folder):
        here = Path(above).relative_to(folder)
        folders[:] = [name for name in folders if name not in NEVER_SHIPPED]
        links = [name for name in folders if Path(above, name).is_symlink()]
        found += filter(is_wanted, ((here / name).as_posix() for name in (*files, *links)))
        if len(found) > MAX_FILES:
            raise _too_large(folder, f"{MAX_FILES:,} files")
    return iter(sorted(found))


def fingerprint_of(source: Path, is_wanted: Callable[[str], bool] = is_shipped, *, through_links: bool = False) -> str:
    """A hash over a file, or over the names, contents, links and execute bits below a folder; 16 hex digits.

    The name of a single file does not count, those inside a folder do. through_links: what a link leads to counts
    instead of the link, for what is shipped by `copy_source`. WorldError when something cannot be read, is no file or
    folder, or leads back into a folder that contains it.
    """
    with disk_problems(f"cannot read {source}"):
        if through_links:
            if source.is_dir():
                deque(_files_through_links(source, _Trip(source)), maxlen=0)  # all are counted before one is read
            return _fingerprint_through_links(source, _Trip(source))
        if source.is_dir():
            return _digest(_named(path, _content(source / path)) for path in files_of(source, is_wanted))
        return _digest([_content(source)])


def copy_source(source: Path, folder: Path) -> None:
    """A file, or what is below a folder, into `folder`: what `fingerprint_of` counts, links as what they lead to."""
    with disk_problems(f"cannot copy {source}"):
        if source.is_file():
            shutil.copy2(source, folder)
            return
        for path in _files_through_links(source, _Trip(source)):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / path, target)


class _Trip:
    """A way through the folders below `source`, along links: where it is, and how much it has met."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._above: list[Identity] = []
        self._files = 0
        self._bytes = 0

    def files_of(self, folder: Path) -> Iterator[Path]:
        """What `files_of` has, while we are in that folder."""
        status = folder.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in self._above:
            raise WorldError(f"{folder} is a link to a folder that contains it", fix="remove the link")
        self._above.append(identity)
        for path in files_of(folder):
            self._count(folder / path)
            yield folder / path
        self._above.pop()

    def _count(self, file: Path) -> None:
        self._files += 1
        if file.is_file():
            self._bytes += file.stat().st_size
        if self._files > MAX_FILES:
            raise _too_large(self._source, f"{MAX_FILES:,} files")
        if self._bytes > MAX_BYTES:
            raise _too_large(self._source, f"{MAX_BYTES >> 30} GiB")


def _fingerprint_through_links(source: Path, trip: _Trip) -> str:
    if not source.is_dir():
        return _digest([_content(source, is_followed=True)])
    return _digest(
        _named(
            file.relative_to(source).as_posix(),
            _fingerprint_through_links(file, trip).encode() if file.is_dir() else _content(file, is_followed=True),
        )
        for file in trip.files_of(source)
    )


def _files_through_links(folder: Path, trip: _Trip) -> Iterator[str]:
    for file in trip.files_of(folder):
        path = file.relative_to(folder).as_posix()
        if file.is_dir():
            yield from (f"{path}/{inner}" for inner in _files_through_links(file, trip))
        else:
            yield path


def _digest(parts: Iterator[bytes] | list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _named(path: str, content: bytes) -> bytes:
    return f"{path}\0".encode(errors="surrogateescape") + content


def _content(file: Path, *, is_followed: bool = False) -> bytes:
    """What counts of a file; is_followed: a link counts for the file it leads to, if there is one."""
    if file.is_symlink() and not (is_followed and file.exists()):
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


def _too_large(source: Path, limit: str) -> WorldError:
    return WorldError(
        f"{source} has more than {limit}",
        why="all of them would be part of the program",
        fix="name a folder that has the program alone; data belongs into a channel",
    )
