"""The files of one volume, whatever its program has left there.

Each folder on the way is opened through the one above it and never through a link, so nothing is written outside; what
is no regular file is not opened. Whoever reads a folder gets links and FIFOs as members of its tar. Standard library
only.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, BinaryIO

PIECE_BYTES = 1 << 18
MOST_LINKS = 40
LONGEST_PATH_BYTES = 4096  # of what any program could open by its name
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = {stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE}


class Refused(Exception):
    """Asked for something that is not done here."""


class Volume:
    def __init__(self, base: Path) -> None:
        self.base = base

    def write(self, path: str, content: IO[bytes], mode: int) -> None:
        """A whole file, made under another name and renamed, with the folders above it."""
        if not (parts := parts_of(path)):
            raise Refused("a file needs a name")
        with self._folder(parts[:-1], make=True) as folder:
            temporary = f".courier-{token_hex(8)}"
            try:
                with os.fdopen(os.open(temporary, _NEW, 0o600, dir_fd=folder), "wb") as file:
                    while piece := content.read(PIECE_BYTES):
                        file.write(piece)
                    os.fchmod(file.fileno(), mode & 0o777)
                os.rename(temporary, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    def make_folder(self, path: str) -> None:
        with self._folder(parts_of(path), make=True):
            pass

    @contextmanager
    def file(self, path: str) -> Iterator[BinaryIO]:
        """A regular file, open; else an OSError."""
        *above, name = self._without_links(path, but_last=True) or [""]
        with self._folder(above) as folder, os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "no regular file")
            yield file

    def tar(self, path: str) -> Iterator[bytes]:
        """What is in a folder, piece by piece, by names relative to it; an empty tar if there is none."""
        with suppress(FileNotFoundError, NotADirectoryError):
            top = self._without_links(path)
            seen: dict[tuple[int, int], str] = {}
            waiting = [""]
            while waiting:
                above = waiting.pop()
                with suppress(FileNotFoundError, NotADirectoryError), self._folder([*top, *parts_of(above)]) as folder:
                    for name in _names_in(folder):  # one by one: there may be millions
                        at = f"{above}/{name}" if above else name
                        if len(os.fsencode(at)) > LONGEST_PATH_BYTES:
                            continue
                        with suppress(FileNotFoundError):  # it went meanwhile
                            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                            yield from _member(folder, name, at, status, seen)
                            if stat.S_ISDIR(status.st_mode):
                                waiting.append(at)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def empty(self, path: str) -> None:
        """Remove all that is in a folder, which may be another volume, but not what is in volumes mounted below it.
        With `find`, whose folders may lie as deep as they like; it begins in the folder that was opened, wherever its
        name leads by now."""
        with self._folder(parts_of(path)) as folder:
            here = f"/proc/self/fd/{folder}"
            top = Path(here).readlink()
            mounts = [mount.relative_to(top) for mount in mounts_below(top)]
            kept = {at for mount in mounts for at in (mount, *mount.parents) if at.name}
            tests = [test for at in sorted(kept) for test in ("!", "-path", f"./{literal(at)}")]
            tests += [test for mount in mounts for test in ("!", "-path", f"./{literal(mount)}/*")]
            command = ["find", ".", "-mindepth", "1", *tests, "-delete"]
            done = subprocess.run(command, cwd=here, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise OSError(errno.EIO, done.stderr.strip().rpartition("\n")[2][:300])

    @contextmanager
    def _folder(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        opened = os.open(self.base, _FOLDER)
        try:
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=opened)
                below = os.open(part, _FOLDER, dir_fd=opened)
                os.close(opened)
                opened = below
            yield opened
        finally:
            os.close(opened)

    def _without_links(self, path: str, *, but_last: bool = False) -> list[str]:
        """The same place by a path without links; those that lead out of the volume lead nowhere."""
        done: list[str] = []
        waiting, links = parts_of(path), 0
        while waiting:
            part = waiting.pop(0)
            if part == "..":
                if not done:
                    raise FileNotFoundError(errno.ENOENT, "it leads out of the volume")
                done.pop()
                continue
            target = None
            if waiting or not but_last:
                with self._folder(done) as folder, suppress(OSError):
                    target = os.readlink(part, dir_fd=folder)
            if target is None:
                done.append(part)
                continue
            if (links := links + 1) > MOST_LINKS:
                raise FileNotFoundError(errno.ENOENT, "its links lead round")
            if target.startswith("/"):
                if not Path(target).is_relative_to(self.base):
                    raise FileNotFoundError(errno.ENOENT, "it leads out of the volume")
                done, target = [], str(Path(target).relative_to(self.base))
            waiting = [name for name in target.split("/") if name not in ("", ".")] + waiting
        return done


def parts_of(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise Refused(f"{path!r} is no path below the volume")
    return parts


def mounts_below(folder: Path) -> list[Path]:
    """Where the kernel has something mounted in a folder."""
    told = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return [point for point in mount_points(told) if folder in point.parents]


def mount_points(told: str) -> list[Path]:
    """Out of the kernel's lines, in which a space of a name, say, is a number of base 8."""
    named = (line.split(" ")[4] for line in told.splitlines())
    return [Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name)) for name in named]


def literal(path: Path) -> str:
    """As a pattern that nothing else matches."""
    return re.sub(r"[\\*?\[]", r"\\\g<0>", str(path))


def _names_in(folder: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name


def _member(
    folder: int, name: str, at: str, status: os.stat_result, seen: dict[tuple[int, int], str]
) -> Iterator[bytes]:
    """One member of a tar: its head and, of a file, the bytes that it has now."""
    info = tarfile.TarInfo(at)
    info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    info.uid, info.gid = status.st_uid, status.st_gid
    key = status.st_dev, status.st_ino
    if stat.S_ISREG(status.st_mode) and (status.st_nlink == 1 or key not in seen):
        seen |= {key: at} if status.st_nlink > 1 else {}
        yield from _file(folder, name, info)
        return
    if stat.S_ISREG(status.st_mode):
        info.type, info.linkname = tarfile.LNKTYPE, seen[key]
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
    elif kind := _SPECIAL.get(stat.S_IFMT(status.st_mode)):
        info.type = kind
    else:
        return  # a socket, which no tar can hold
    yield _head(info)


def _file(folder: int, name: str, info: tarfile.TarInfo) -> Iterator[bytes]:
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is no file any more")
        info.size = left = status.st_size
        yield _head(info)
        while left:
            if not (piece := file.read(min(left, PIECE_BYTES))):
                raise OSError(errno.EIO, f"{info.name} shrank while it was being copied")
            left -= len(piece)
            yield piece
        yield bytes(-info.size % tarfile.BLOCKSIZE)


def _head(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
