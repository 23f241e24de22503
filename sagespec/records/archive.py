"""model.tar.gz and output.tar.gz: packed from what a container left, unpacked for one that serves.

Called by `run` (a folder's tar stream in, a .tar.gz out) and by `serve` (a .tar.gz in, a folder out).
What is in an archive was made by somebody else's program, or was downloaded: members are files and
folders inside the archive's root and nothing else, in both directions. Links are refused, as SageMaker's
hosting refuses them; so are devices, sparse files, and names that lead out of the folder. Sizes and
counts are bounded before anything is written.

The archive of equal files is equal byte for byte (with the same zlib): owners and times are dropped,
permissions are reduced to "may be run or not", members stay in the order of the stream.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from sagespec.errors import WorldError, disk_problems
from sagespec.stores.keys import replacing
from sagespec.stores.protocol import CHUNK_BYTES

MAX_MEMBERS = 100_000
# On one core: float weights shrink to 93 % at any level, at 35 MB/s; a model of trees in JSON to 32 % at 120 MB/s
# with level 1, to 26 % at 26 MB/s with level 6. Serving waits for this, and disk is cheap.
_GZIP_LEVEL = 1
_MAX_HEADER_BYTES = 1 << 20  # a header that holds a long name is read into memory whole
_UNFIT = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]|^[A-Za-z]:/")  # also no path on Windows

_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_LINKS = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link"}


class UnfitMember(WorldError):
    """A member that archives must not contain, or one too many: a fault of the archive, so trying again does not
    help."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def pack(tar_stream: Iterator[bytes], file: Path, *, others: Iterable[Iterator[bytes]] = ()) -> None:
    """Write the files of a raw tar stream to `file` as .tar.gz, its members relative to the root.

    `others` are the streams of further hosts: their files are added, and one that is there already is left
    as the first host wrote it. WorldError naming the member when one may not be in an archive.
    """
    taken: dict[str, bool] = {}  # names, and whether they are folders
    with replacing(file) as temporary, temporary.open("wb") as raw:
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as zipped:
            with tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as packed:
                for stream in (tar_stream, *others):
                    _add(packed, stream, taken=taken, what=f"the folder for {file.name}")


def _add(packed: tarfile.TarFile, stream: Iterator[bytes], *, taken: dict[str, bool], what: str) -> None:
    with _damage(what), _opened(io.BufferedReader(_Joined(stream))) as source:
        for name, member in _members(source, what):
            below_a_file = any(not taken.get(str(parent), True) for parent in PurePosixPath(name).parents)
            if name not in taken and not below_a_file:
                taken[name] = member.isdir()
                packed.addfile(_plain(name, member), source.extractfile(member))


def regular_files(tar_stream: Iterator[bytes], what: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each regular file in a raw tar stream; a content is read before the next is asked for.

    All else (links, sockets) is passed over. WorldError that begins with `what` when the stream is cut short.
    """
    with _damage(what), _opened(io.BufferedReader(_Joined(tar_stream))) as source:
        for member in source:
            content = source.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name.removeprefix("./"), content


def unpack(
    file: Path, folder: Path, *, max_bytes: int, max_members: int = MAX_MEMBERS, name_for_people: str = ""
) -> None:
    """The files of a .tar.gz into `folder`, which should be new; WorldError naming the member that is refused.

    max_bytes: how much they may take up together. max_members: how many they may be. name_for_people: of the archive,
    where `file` is only a copy of it. After an error the folder holds what was unpacked so far.
    """
    what = name_for_people or str(file)
    if not is_gzip(file):
        raise WorldError(f"{what} is not a .tar.gz file", fix="pack it with: tar -czf model.tar.gz -C folder .")
    with disk_problems(f"cannot unpack {what}"), _damage(what), gzip.open(file) as unzipped:
        folder.mkdir(parents=True, exist_ok=True)
        bounded = _Bounded(unzipped, max_bytes + max_members * 1024, what=what, max_bytes=max_bytes)
        with _opened(bounded) as archive:
            total = 0
            for name, member in _members(archive, what, max_members):
                total += member.size
                if total > max_bytes:
                    raise _too_large(what, max_bytes)
                with disk_problems(f"cannot unpack {name!r} of {what}"):
                    _write(archive, member, folder / name)
        while bounded.read(CHUNK_BYTES):
            pass  # gzip's checksum is at the end, after the last member


def is_gzip(file: Path) -> bool:
    """Whether the file begins as gzip does."""
    with disk_problems(f"cannot read {file}"), file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


# -- members ---------------------------------------------------------------------------------------


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


def _opened(stream: _Readable) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member)  # type: ignore[call-overload,no-any-return]


def _members(
    archive: tarfile.TarFile, what: str, max_members: int = MAX_MEMBERS
) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Files and folders with their names relative to the root; WorldError for anything else."""
    for count, member in enumerate(archive, start=1):
        if count > max_members:
            raise UnfitMember(f"{what} has more than {max_members} members", fix="pack fewer, larger files")
        if member.size < 0:  # a PAX header may say so after the fact
            raise tarfile.ReadError(f"impossible size {member.size} of {member.name!r}")
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise _refused(member.name, _LINKS.get(member.type, "neither a file nor a folder"), what)
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts or member.name.startswith("/") or _UNFIT.search(member.name):
            raise _refused(member.name, "a name that leads out of the archive or fits no file system", what)
        if parts:
            yield "/".join(parts), member


def _plain(name: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
    plain = tarfile.TarInfo(name)
    plain.type = tarfile.DIRTYPE if member.isdir() else tarfile.REGTYPE
    plain.size = 0 if member.isdir() else member.size
    plain.mode = 0o755 if member.isdir() or member.mode & 0o111 else 0o644
    return plain


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None  # a regular file
    with path.open("xb") as target:  # x: the same name twice, or one that differs only in case, is an error
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
    path.chmod(_plain("", member).mode)


# -- streams ---------------------------------------------------------------------------------------


class _Joined(io.RawIOBase):
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


class _Bounded:
    """A stream that may not become longer than `most` bytes: what a small bomb would fill a disk with."""

    def __init__(self, stream: _Readable, most: int, *, what: str, max_bytes: int) -> None:
        self._stream, self._left, self._what, self._max_bytes = stream, most, what, max_bytes

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._what, self._max_bytes)
        return data


# -- what is refused -------------------------------------------------------------------------------


@contextmanager
def _damage(what: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RecursionError) as error:
        raise WorldError(
            f"{what} cannot be read: {error}",
            why="it is damaged, or of a kind that is not unpacked",
            fix="pack it again: tar -czf model.tar.gz -C folder .",
        ) from error


def _refused(name: str, kind: str, what: str) -> UnfitMember:
    return UnfitMember(
        f"{what} holds {name!r}, {kind}",
        why="an archive may hold files and folders below its root, as SageMaker's hosting has it",
        fix="put the file itself there",
    )


def _too_large(what: str, max_bytes: int) -> WorldError:
    return WorldError(f"{what} unpacks to more than {max_bytes} bytes", fix="raise the limit if that size is intended")
