"""Members of tar streams, and which of them an archive may have: files and folders below its root, nothing else.

Streams come from an engine (`folders`, to pack) and from .tar.gz files (`archive`, to unpack). What is in them was made
by somebody else's program, so each header is judged before `tarfile` acts on it.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sagespec.errors import WorldError

MAX_MEMBERS = 100_000
MAX_MODEL_BYTES = 64 * 2**30  # unpacked; what is larger is treated as a zip bomb
UNFIT_NAME = "a name that leads out of the archive or fits no file system"
WHY = "an archive may hold files and folders below its root, as SageMaker's hosting has it"
_MAX_HEADER_BYTES = 1 << 20  # a header that holds a long name is read into memory whole
_ODD_NAME = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]|^[A-Za-z]:/")  # also no path on Windows

_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}


class UnfitMember(WorldError):
    """A member that archives must not contain, or one too many: a fault of the archive, so trying again does not
    help."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Member(tarfile.TarInfo):
    """A header that is judged before `tarfile` acts on it: some kinds make it read without bound."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _EXTENDED and self.size > _MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"impossible size {self.size} of {self.name!r}")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"{self.name!r} is a sparse file")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # the hook tarfile has for this

    def _proc_gnusparse_10(self, member: tarfile.TarInfo, *_: object) -> None:
        raise tarfile.ReadError(f"{member.name!r} is a sparse file")


def opened(stream: Readable) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member)  # type: ignore[call-overload,no-any-return]


@contextmanager
def damage(what: str) -> Iterator[None]:
    """Turns what a broken tar or gzip stream leads to into a WorldError that begins with `what`."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RecursionError) as error:
        raise WorldError(
            f"{what} cannot be read: {error}",
            why="it is damaged, or of a kind that is not unpacked",
            fix="pack it again: tar -czf model.tar.gz -C folder .",
        ) from error


def name_of(member: tarfile.TarInfo) -> str:
    """Its path from the root; '' for the root itself."""
    return "/".join(part for part in member.name.split("/") if part not in ("", "."))


def unfit_kind(member: tarfile.TarInfo) -> str:
    """What a member is that is neither a file nor a folder; '' for these."""
    if member.size < 0:  # a PAX header may say so after the fact
        raise tarfile.ReadError(f"impossible size {member.size} of {member.name!r}")
    if (member.isreg() or member.isdir()) and not member.issparse():
        return ""
    return _KINDS.get(member.type, "neither a file nor a folder")


def leads_out(member: tarfile.TarInfo) -> bool:
    return ".." in member.name.split("/") or member.name.startswith("/")


def has_odd_name(member: tarfile.TarInfo) -> bool:
    """Whether there are file systems, or texts, that cannot have its name."""
    return _ODD_NAME.search(member.name) is not None


def unfit_name(member: tarfile.TarInfo) -> str:
    """What is wrong with its name; '' for nothing."""
    return UNFIT_NAME if leads_out(member) or has_odd_name(member) else ""


def plain(name: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member as archives have it: without owner and time."""
    new = tarfile.TarInfo(name)
    new.type = tarfile.DIRTYPE if member.isdir() else tarfile.REGTYPE
    new.size = 0 if member.isdir() else member.size
    new.mode = 0o755 if member.isdir() or member.mode & 0o111 else 0o644
    return new


class Joined(io.RawIOBase):
    """Chunks of any size, read as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and (chunk := next(self._chunks, None)) is not None:
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
