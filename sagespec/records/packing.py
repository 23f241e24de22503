"""model.tar.gz and output.tar.gz, packed from what the hosts of a job left in a folder.

Called by `run`. Links into the folder become what they lead to (`folders`). What else is no file and no folder has no
place in an archive: `pack` names all of it, and either leaves it out or packs nothing.

The archive of equal files is equal byte for byte (with the same zlib): owners and times are dropped, permissions are
reduced to "may be run or not", members stay in the order of the stream, and what links stand for comes last.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO

from sagespec.errors import WorldError
from sagespec.records.folders import Folder, LeftOut, Read, listed
from sagespec.records.members import MAX_MEMBERS, MAX_MODEL_BYTES, WHY, UnfitMember, damage, plain
from sagespec.stores.keys import replacing
from sagespec.stores.protocol import CHUNK_BYTES

# On one core: float weights shrink to 93 % at any level, at 35 MB/s; a model of trees in JSON to 32 % at 120 MB/s
# with level 1, to 26 % at 26 MB/s with level 6. Serving waits for this, and disk is cheap.
_GZIP_LEVEL = 1


def pack(
    reads: Sequence[Read],
    file: Path,
    place: str,
    *,
    leaves_out: bool = False,
) -> list[str]:
    """Write the files in `place` of all hosts to `file` as .tar.gz; what a person should know of it.

    reads: give the folder of each host as a raw tar stream. A file that is there already is left as the first host
    wrote it. UnfitMember that names what may not be in an archive, unless leaves_out: then all the rest is packed,
    whatever its names are and however many.
    """
    with damage(place), replacing(file) as temporary, temporary.open("wb") as raw:
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as zipped:
            with tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as packed:
                archive = _Archive(packed, file.parent, leaves_out=leaves_out)
                for read in reads:
                    most = 0 if leaves_out else MAX_MEMBERS
                    archive.add(Folder(read, place, max_members=most, keeps_odd_names=leaves_out))
        if archive.left_out and not leaves_out:
            raise _unfit(archive.left_out, place)
    return archive.notes(file.name)


class _Archive:
    """An archive that is being written. Once it is known to be in vain, the rest is only looked at."""

    def __init__(self, packed: tarfile.TarFile, scratch: Path, *, leaves_out: bool) -> None:
        self._packed, self._scratch, self._leaves_out = packed, scratch, leaves_out
        self._taken: dict[str, bool] = {}  # names, and whether they are folders
        self._left_to_copy = MAX_MODEL_BYTES
        self._bytes = 0
        self._odd_names: list[str] = []
        self.left_out: list[LeftOut] = []

    def notes(self, file_name: str) -> list[str]:
        notes = [f"left out of {file_name}: {listed(self.left_out)}"] if self.left_out else []
        if self._odd_names:
            notes.append(f"{file_name} has names that not every system can have: {listed(map(repr, self._odd_names))}")
        if self._bytes > MAX_MODEL_BYTES and not self._leaves_out:
            gib = f"{self._bytes / 2**30:.0f} GiB, and an instance loads no more than {MAX_MODEL_BYTES >> 30} GiB"
            notes.append(f"{file_name} unpacks to {gib}")
        return notes

    def add(self, folder: Folder) -> None:
        for name, member, content in folder.members():
            if self._leaves_out or not (self.left_out or folder.left_out):
                self._write(name, member, content)
        links = folder.links()
        self.left_out += folder.left_out
        self._odd_names += folder.odd_names
        if self.left_out and not self._leaves_out:
            return
        for name in links.folders:
            above = tarfile.TarInfo(name)
            above.type = tarfile.DIRTYPE
            self._write(name, above, None)
        copies = {file: [name for name in names if self._is_free(name)] for file, names in links.copies.items()}
        copies = {file: names for file, names in copies.items() if names}
        for file, member, content in folder.again(copies):
            self._copy(copies.pop(file), member, content)
        if copies:
            raise WorldError(f"{min(copies)!r} went away while it was packed", fix="try again")

    def _copy(self, names: Sequence[str], member: tarfile.TarInfo, content: IO[bytes]) -> None:
        if member.size * len(names) > self._left_to_copy:
            why = f"a link, and with others it stands for over {MAX_MODEL_BYTES >> 30} GiB"
            self.left_out += [LeftOut(name, why) for name in names]
            return
        self._left_to_copy -= member.size * len(names)
        if len(names) == 1:
            self._write(names[0], member, content)
            return
        with TemporaryFile(dir=self._scratch) as held:
            shutil.copyfileobj(content, held, CHUNK_BYTES)
            for name in names:
                held.seek(0)
                self._write(name, member, held)

    def _write(self, name: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        if self._is_free(name):
            self._taken[name] = member.isdir()
            self._bytes += member.size
            self._packed.addfile(plain(name, member), content)

    def _is_free(self, name: str) -> bool:
        below_a_file = any(not self._taken.get(str(parent), True) for parent in PurePosixPath(name).parents)
        return name not in self._taken and not below_a_file


def _unfit(left_out: Sequence[LeftOut], place: str) -> UnfitMember:
    return UnfitMember(f"{place} holds {listed(left_out)}", why=WHY, fix="put the file itself there, or remove it")
