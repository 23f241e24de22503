"""Files in and out of a container's folder."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sagespec.sources.walking import Above, enter

COPY_BYTES = 2**20

_NO_FILE = (
    errno.ENOENT,
    errno.ENOTDIR,  # a file where a folder should be, or a link
    errno.ELOOP,  # a link
    errno.ENXIO,  # a socket
    errno.EACCES,
)


def write_whole(target: Path, content: bytes, *, mode: int = 0o666) -> None:
    """mode: less what the umask takes."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # never through a link that a program left there
    with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
        file.write(content)
    temporary.replace(target)


def read_regular(folder: Path, path: Path, limit: int) -> bytes | None:
    """The first `limit` bytes of the file `path` below `folder`; None when there is no regular file. What lies below
    `folder` may be anything: no link is followed on the way, and no FIFO is waited for."""
    opened: list[int] = []
    try:
        opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for name in path.parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            opened.append(os.open(name, flags, dir_fd=opened[-1]))
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        opened.append(os.open(path.name, flags, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
            return None
        with os.fdopen(opened.pop(), "rb") as file:
            return file.read(limit)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    finally:
        for descriptor in opened:
            os.close(descriptor)


def files_below(folder: Path, above: Above = ()) -> Iterator[Path]:
    """Links are followed. `above`: the folders we are in, to see loops."""
    within = enter(folder, above)
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from files_below(entry, within)
        elif entry.is_file():
            yield entry.absolute()


def copy_folder(source: Path, target: Path, above: Above = ()) -> None:
    """Copy the content of `source` into `target`, next to what is there. `above`: parent folders, to detect loops."""
    within = enter(source, above)
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            copy_folder(entry, target / entry.name, within)
        elif entry.is_file() or not entry.exists():  # a broken link is an error; sockets and FIFOs are no data
            copy_file(entry, target / entry.name)


def copy_file(source: Path, target: Path) -> None:
    """A copy, never a link: training may write to its input in place. Shares blocks where the file system can."""
    with source.open("rb") as reading, target.open("wb") as writing:
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), 2**30):
                pass
        except (AttributeError, OSError) as error:  # not Linux; or two file systems, or one that cannot
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
        shutil.copyfileobj(reading, writing, COPY_BYTES)
    target.chmod(source.stat().st_mode | 0o600)


def tar_members(folder: Path, base: Path) -> Iterator[bytes]:
    """What is below `folder`. base: the container's /opt/ml; links into it are given as a container would have them."""
    if not folder.is_dir():
        return
    tar = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")  # for making headers alone
    for path in sorted(folder.rglob("*")):
        try:
            member = tar.gettarinfo(path, path.relative_to(folder).as_posix())
        except FileNotFoundError:  # a running program may have removed it just now
            continue
        if member is None:  # a socket
            continue
        if member.issym():
            member.linkname = _as_in_container(member.linkname, base)
        yield member.tobuf(tarfile.PAX_FORMAT)
        if member.isreg():
            yield from _padded_content(path, member.size)


def _as_in_container(target: str, base: Path) -> str:
    for folder in (base, base.resolve()):
        if target == str(folder) or target.startswith(f"{folder}/"):
            return f"/opt/ml{target.removeprefix(str(folder))}"
    return target


def _padded_content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)  # as it was when it was seen
    with os.fdopen(descriptor, "rb") as file:
        while left and (block := file.read(min(left, COPY_BYTES))):
            left -= len(block)
            yield block
    if left:
        raise OSError(errno.EIO, "the file shrank while it was being read", str(path))
    yield bytes(-size % tarfile.BLOCKSIZE)


def delete_folder(folder: Path) -> None:
    """Delete a tree, also where the program left folders that may not be written to. Another may do the same."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        for above, names, _ in os.walk(folder):
            for inner in (Path(above, name) for name in names):
                if not inner.is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
