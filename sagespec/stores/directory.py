"""A store in a folder: keys are files under it. The default store, and the way local inputs are read.

Opened by `open_store`. Every file is written under a temporary name in its final folder, flushed to disk
and then renamed, so a reader, or a machine that loses power, finds either the old content or the new. All
writers of a store briefly take one flock around "check, then rename": that makes if_absent and if_match hold
between processes, and the lock of a killed process is released. A temporary file is flocked while it is
written; one without a lock was left by a killed process, and the next write to the same folder removes it.

An input (create=False) may be a single file, and links in it are followed. Hidden files are included, as
with SageMaker's S3Prefix.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sagespec.errors import WorldError, disk_problem, disk_problems
from sagespec.private import make_folder, share_like_its_folder
from sagespec.sources.files import STORE_LOCK
from sagespec.sources.walking import Above, enter, leads_nowhere
from sagespec.stores.keys import (
    OURS,
    changed,
    check_key,
    check_sha256,
    input_only,
    missing,
    replacing,
    sha256_of,
    temporary_beside,
)
from sagespec.stores.protocol import CHUNK_BYTES, Conflict, CountBytes, Entry, StoreAway, Stored

# A temporary file exists for an instant before it is flocked, so the sweep leaves new ones alone.
_SWEEP_AFTER_SECONDS = 60.0


class DirectoryStore:
    def __init__(self, root: Path, *, create: bool = True) -> None:
        self._root = root.resolve()
        self._create = create
        self.uri = f"file://{self._root}"
        if not create and not self._root.exists():
            raise WorldError(f"{self._root} does not exist", fix="check the path")
        if create and self._root.exists() and not self._root.is_dir():
            raise WorldError(f"{self._root} is a file; a store is a folder", fix="name a folder")
        self._is_file = not create and self._root.is_file()

    # -- reading

    def read(self, key: str) -> tuple[bytes, str] | None:
        path = self._path(key)
        with _store_problems(f"cannot read {path}"):
            try:
                with _opened(path) as stream:
                    return stream.read(), _etag(os.fstat(stream.fileno()))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        found = ((key, self.read(key)) for key in keys)
        return {key: content[0] for key, content in found if content is not None}

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        path = self._path(key)
        if not path.is_file():
            raise missing(key, self.uri)
        with _store_problems(f"cannot read {path}"):
            source = _opened(path)
        with source, replacing(file) as temporary:
            with temporary.open("wb") as target:
                copied = _copy(source, target, progress)
            check_sha256(copied.sha256, sha256, key=key, uri=self.uri)

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        path = self._path(key)
        with _store_problems(f"cannot read {path}"):
            try:
                with _opened(path) as stream:
                    part = os.pread(stream.fileno(), size, start)
                    is_same = _etag(os.fstat(stream.fileno())) == if_match
            except (FileNotFoundError, IsADirectoryError):
                is_same = False
        if not is_same or len(part) != size:
            raise changed(key, self.uri)
        return part

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        with _store_problems(f"cannot list {self._root}"):
            if self._is_file:
                status = self._root.stat()
                found = [Entry(self._root.name, status.st_size, _etag(status), status.st_mtime)]
            else:
                folder_key = prefix.rpartition("/")[0]
                if folder_key:
                    check_key(folder_key, self.uri)
                found = list(_walk(self._root / folder_key, f"{folder_key}/" if folder_key else "", above=()))
        for entry in found:
            check_key(entry.key, self.uri)
        return tuple(sorted(entry for entry in found if entry.key.startswith(prefix)))

    # -- writing

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        with self._incoming(key) as (stream, temporary):
            stream.write(data)
            return self._place(stream, temporary, key, if_absent=if_absent, if_match=if_match)

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        with disk_problems(f"cannot read {file}"):
            source = file.open("rb")
        with source, self._incoming(key) as (stream, temporary):
            stored = _copy(source, stream, progress)
            stream.flush()
            if (found := sha256_of(temporary)) != stored.sha256:
                raise WorldError(
                    f"{self.uri}/{key} was written with SHA-256 {stored.sha256} but read back with {found}",
                    fix="check the disk (dmesg, smartctl), or use another store",
                )
            self._place(stream, temporary, key)
        return stored

    def delete(self, key: str) -> None:
        path = self._place_of(key)
        with _store_problems(f"cannot remove {path}"), suppress(FileNotFoundError, NotADirectoryError):
            with self._exclusive():
                path.unlink()

    # -- places

    def _path(self, key: str) -> Path:
        check_key(key, self.uri)
        if self._is_file:
            return self._root if key == self._root.name else self._root / key
        return self._root / key

    def _place_of(self, key: str) -> Path:
        if not self._create:
            raise input_only(self.uri)
        return self._path(key)

    @contextmanager
    def _incoming(self, key: str) -> Iterator[tuple[BinaryIO, Path]]:
        """An open temporary file in the folder of `key`; removed afterwards unless it was renamed into place."""
        path = self._place_of(key)
        with _store_problems(f"cannot write {path}"):
            make_folder(path.parent)
            _sweep(path.parent)
            temporary = temporary_beside(path)
            with temporary.open("xb") as stream:
                try:
                    share_like_its_folder(temporary)
                    fcntl.flock(stream, fcntl.LOCK_EX)
                    yield stream, temporary
                finally:
                    temporary.unlink(missing_ok=True)

    def _place(
        self, stream: BinaryIO, temporary: Path, key: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """Rename `temporary` to the path of `key` if the condition holds; the new ETag."""
        path = self._path(key)
        if path.is_dir():  # it is read as if nothing were there
            raise WorldError(
                f"{path} is a folder, where a file is to be written", fix="move it away, or remove it if it is empty"
            )
        stream.flush()
        # The kernel's file times are some milliseconds coarse: two writes of the same size would look the same.
        stamp = time.time_ns()
        os.utime(stream.fileno(), ns=(stamp, stamp))
        os.fsync(stream.fileno())
        with self._exclusive():
            present = _etag_at(path)
            if if_absent and present is not None:
                raise Conflict(f"{self.uri}/{key} already exists")
            if if_match is not None and present != if_match:
                raise Conflict(f"{self.uri}/{key} was changed or removed by someone else")
            etag = _etag(os.fstat(stream.fileno()))
            temporary.rename(path)
        _flush_folder(path.parent)
        return etag

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """The only writer of this store, on this machine and wherever the file system supports flock."""
        descriptor = os.open(self._root / STORE_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            share_like_its_folder(self._root / STORE_LOCK)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _store_problems(what: str) -> Iterator[None]:
    """Turns an OSError of the block into a StoreAway that begins with `what`."""
    try:
        yield
    except OSError as error:
        raise StoreAway(disk_problem(error, what).problems) from error


def _opened(path: Path) -> BinaryIO:
    """A file to be read; WorldError for what might have no end. A FIFO is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    what = "a FIFO" if stat.S_ISFIFO(mode) else "a device"
    raise WorldError(
        f"{path} is {what}, not a file", why="a store keeps files alone", fix="remove it, or name another store"
    )


def _etag(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _etag_at(path: Path) -> str | None:
    try:
        return _etag(path.stat())
    except FileNotFoundError:
        return None


def _copy(source: BinaryIO, target: BinaryIO, progress: CountBytes | None) -> Stored:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        if progress:
            progress(len(chunk))
    return Stored(size, digest.hexdigest())


def _walk(folder: Path, prefix: str, *, above: Above) -> Iterator[Entry]:
    """The files below `folder`, with keys that start with `prefix`; `above` are the folders that contain it."""
    try:
        status = folder.stat()
        with os.scandir(folder) as found:
            items = [item for item in found if not item.name.startswith(OURS)]
    except (FileNotFoundError, NotADirectoryError):
        return  # nothing has been written yet, or it was removed meanwhile
    within = enter(folder, above, status)
    for item in items:
        if item.is_dir():
            yield from _walk(folder / item.name, f"{prefix}{item.name}/", above=within)
        elif item.is_file():
            try:
                found_status = item.stat()
                yield Entry(f"{prefix}{item.name}", found_status.st_size, _etag(found_status), found_status.st_mtime)
            except FileNotFoundError:
                continue
        elif item.is_symlink():
            raise leads_nowhere(folder / item.name)


def _sweep(folder: Path) -> None:
    """Remove files that killed processes left half written in `folder`."""
    with os.scandir(folder) as found:
        names = [item.name for item in found if item.name.startswith(OURS) and item.name != STORE_LOCK]
    for name in names:
        # Its writer holds the lock (BlockingIOError); the file may also have been renamed or swept by now.
        with suppress(FileNotFoundError, BlockingIOError, PermissionError), (folder / name).open("rb") as stream:
            if time.time() - os.fstat(stream.fileno()).st_mtime > _SWEEP_AFTER_SECONDS:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / name).unlink()


def _flush_folder(folder: Path) -> None:
    """Flush a rename to disk: a manifest must not survive a power cut that its model did not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
