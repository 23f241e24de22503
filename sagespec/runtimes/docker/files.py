"""Files as tar streams, piece by piece: the form in which the engine receives and sends them, without the SDK.

Files on disk or in memory become members (`tree`, `contents`), named for a container's /opt/ml by `inside`;
`tar` turns them into the stream to send, also for the context of a build. `rebased` reads the stream that an
engine sends for a folder. Nothing here knows about containers or the engine.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from sagespec.errors import WorldError
from sagespec.sources.walking import Above, enter
from sagespec.spec.secrets import SECRETS_FOLDER

BASE = "/opt/ml"

_COPY_BYTES = 1 << 18

Entry = tuple[tarfile.TarInfo, BinaryIO | None]  # a member of a tar, and its content if it is a file


def inside(path: str) -> str:
    """The name in a tar of the root for a path relative to /opt/ml."""
    return posixpath.join(BASE, path).strip("/")


def _member(name: str, *, size: int = 0, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """A member owned by root, like everything in a SageMaker container: without capabilities, root cannot
    even write into other users' folders."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.mtime = size, mode, kind, int(time.time())
    return info


def parents(at: str) -> Iterator[Entry]:
    parts = at.split("/")
    for count in range(2, len(parts)):  # from opt/ml down; /opt itself belongs to the image
        yield _member("/".join(parts[:count]), mode=0o755, kind=tarfile.DIRTYPE), None


def tree(
    source: Path,
    at: str,
    *,
    is_wanted: Callable[[str], bool] = lambda _: True,
    above: Above = (),
) -> Iterator[Entry]:
    """A file or folder as members named `at` and below, sorted by name, with links followed."""
    try:
        status = source.stat()
        if stat.S_ISREG(status.st_mode):
            with source.open("rb") as content:
                mode = 0o755 if status.st_mode & 0o100 else 0o644
                yield _member(at, size=os.fstat(content.fileno()).st_size, mode=mode), content
            return
        children = sorted(child for child in source.iterdir() if is_wanted(child.name))
    except OSError as error:  # ours; unconverted, it would count as a connection error
        raise WorldError(f"cannot read {source}: {error.strerror or error}") from error
    within = enter(source, above, status)
    yield _member(at, mode=0o755, kind=tarfile.DIRTYPE), None
    for child in children:
        yield from tree(child, f"{at}/{child.name}", is_wanted=is_wanted, above=within)


def picked(folder: Path, paths: Iterable[str]) -> Iterator[Entry]:
    """Files of a folder by their paths in it, with links kept as links: the context sent for a build."""
    for path in paths:
        source = folder / path
        if source.is_symlink():
            link = _member(path, mode=0o777, kind=tarfile.SYMTYPE)
            link.linkname = str(source.readlink())
            yield link, None
        else:
            yield from tree(source, path)


def contents(files: Mapping[str, bytes], mode: int = 0o644) -> Iterator[Entry]:
    for name, data in files.items():
        yield from parents(name)
        yield _member(name, size=len(data), mode=mode), io.BytesIO(data)


def secret_files(files: Mapping[str, bytes]) -> Iterator[Entry]:
    """Secrets by name, where containers look for such. Whatever runs in there may read them, as Swarm has it: images
    run as users of their own."""
    at = SECRETS_FOLDER.strip("/")
    yield _member(at, mode=0o755, kind=tarfile.DIRTYPE), None
    for name, data in files.items():
        yield _member(f"{at}/{name}", size=len(data), mode=0o444), io.BytesIO(data)


def rebased(stream: Iterator[bytes]) -> Iterator[Entry]:
    """The members of the engine's tar of one folder, named relative to that folder, without the folder itself."""
    with tarfile.open(fileobj=_Reader(stream), mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            _, _, member.name = member.name.partition("/")
            if not member.name:
                continue
            if member.islnk():
                _, _, member.linkname = member.linkname.partition("/")
            member.pax_headers = {}  # they hold the old name, which would override the new one
            yield member, archive.extractfile(member) if member.isreg() else None


def beginning(stream: Iterator[bytes], limit: int) -> bytes | None:
    """The first `limit` bytes of the file that is a tar's first member; None when it is no file."""
    with tarfile.open(fileobj=_Reader(stream), mode="r|") as archive:  # type: ignore[call-overload]
        member = archive.next()
        content = archive.extractfile(member) if member and member.isreg() else None
        return content.read(limit) if content else None


class _Reader:
    """Just enough of a file for tarfile to read a stream of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


def tar(members: Iterable[Entry]) -> Iterator[bytes]:
    """A tar, piece by piece; only the current piece is in memory."""
    held = bytearray()  # small files are sent together: each piece costs a write and an HTTP chunk
    for piece in _blocks(members):
        held += piece
        if len(held) >= _COPY_BYTES:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _blocks(members: Iterable[Entry]) -> Iterator[bytes]:
    for info, content in members:
        yield info.tobuf(tarfile.PAX_FORMAT)
        if content is None:
            continue
        left = info.size
        while left:
            piece = content.read(min(left, _COPY_BYTES))
            if not piece:
                raise WorldError(
                    f"{info.name} shrank while it was being copied", fix="try again when nothing is writing to it"
                )
            left -= len(piece)
            yield piece
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
