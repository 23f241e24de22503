"""A model.tar.gz, unpacked for a container that serves, or for a job's input.

What is in an archive was made by somebody else's program, or was downloaded: members are files and folders inside the
archive's root and nothing else. Links are refused, as SageMaker's hosting refuses them; so are devices, sparse files,
and names that lead out of the folder. Sizes and counts are bounded before anything is written.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.records.members import (
    MAX_MEMBERS,
    WHY,
    Readable,
    UnfitMember,
    damage,
    name_of,
    opened,
    plain,
    unfit_kind,
    unfit_name,
)
from sagespec.stores.protocol import CHUNK_BYTES


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
    with disk_problems(f"cannot unpack {what}"), damage(what), gzip.open(file) as unzipped:
        folder.mkdir(parents=True, exist_ok=True)
        bounded = _Bounded(unzipped, max_bytes + max_members * 1024, what=what, max_bytes=max_bytes)
        with opened(bounded) as archive:
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


def _members(archive: tarfile.TarFile, what: str, max_members: int) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Files and folders with their names relative to the root; UnfitMember for anything else."""
    for count, member in enumerate(archive, start=1):
        if count > max_members:
            raise UnfitMember(f"{what} has more than {max_members} members", fix="pack fewer, larger files")
        if reason := unfit_kind(member) or unfit_name(member):
            raise UnfitMember(f"{what} holds {member.name!r}, {reason}", why=WHY, fix="put the file itself there")
        if name := name_of(member):
            yield name, member


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
    path.chmod(plain("", member).mode)


class _Bounded:
    """A stream that may not become longer than `most` bytes: what a small bomb would fill a disk with."""

    def __init__(self, stream: Readable, most: int, *, what: str, max_bytes: int) -> None:
        self._stream, self._left, self._what, self._max_bytes = stream, most, what, max_bytes

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._what, self._max_bytes)
        return data


def _too_large(what: str, max_bytes: int) -> WorldError:
    return WorldError(f"{what} unpacks to more than {max_bytes} bytes", fix="raise the limit if that size is intended")
