"""What was fetched from S3, kept by content: a second job, or a second try, does not fetch it again.

`inputs` asks for objects as files. A whole object is `objects/<2>/<id>`, read-only, and is handed out as a hard link,
so that removing it here takes nothing from a running job. An object on its way is `partial/<id>`, locked (flock) by
whoever fetches it; parts that have arrived are noted beside it, and the next run continues with the others. Nothing
else is remembered, so a kill at any line leaves nothing to repair, and two runs may share the folder.

The id is the content's where the ETag turned out to be the MD5 of what arrived. Any other ETag (of an upload in
parts, of an encrypted object) only says that this object is the same as before, so there the id includes the place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.private import make_folder
from sagespec.stores.protocol import Conflict, CountBytes, Entry, Store

PART_BYTES = 8 << 20
FETCHERS = 16  # at once; each holds a part in memory
TRIES = 3
POLL_EVERY_SECONDS = 0.05
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Wanted:
    """An object, and where it is wanted as a file; nothing is there yet."""

    store: Store
    entry: Entry
    target: Path


class Cache:
    """limit: bytes that `folder` may hold; what a job still uses stays, even above it. part_bytes: how much of a large
    object is fetched at once. pause_seconds: before a part is tried again."""

    def __init__(self, folder: Path, limit: int, *, part_bytes: int = PART_BYTES, pause_seconds: float = 0.5) -> None:
        self.folder = folder
        self._objects = folder / "objects"
        self._partial = folder / "partial"
        self._limit = limit
        self._part_bytes = part_bytes
        self._pause_seconds = pause_seconds

    def bring(
        self, wanted: Sequence[Wanted], progress: CountBytes, keep_going: Callable[[], None] = lambda: None
    ) -> int:
        """Every object at its target, fetched if it is not here; how many bytes were missing.

        progress counts all bytes, including those that were here already. keep_going: called often; what it raises
        ends the work, and what arrived is kept for the next time. Conflict when an object is no longer what its entry
        says.
        """
        with disk_problems(f"cannot write to {self.folder}"):
            missing = []
            for one in wanted:
                if self._give(one):
                    progress(one.entry.size)
                else:
                    missing.append(one)
            if missing:
                needed = sum(one.entry.size for one in missing)
                self._make_room(needed)
                self._fetch_all(missing, progress, keep_going)
                self._make_room(0)
                return needed
            return 0

    def size(self) -> int:
        """Bytes on disk, of objects and parts of objects."""
        return sum(size for _, size, _ in self._held())

    # -- places

    def _places(self, one: Wanted) -> tuple[Path, Path]:
        """The object's path if its ETag is its MD5, and its path if it is not."""
        etag = f"{one.entry.size} {one.entry.etag}"
        return self._place(etag), self._place(f"{one.store.uri} {one.entry.key} {etag}")

    def _place(self, text: str) -> Path:
        name = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:40]
        return self._objects / name[:2] / name

    def _give(self, one: Wanted) -> bool:
        """Link the object to its target, if it is here."""
        for place in self._places(one):
            try:
                if place.stat().st_size != one.entry.size:  # a full disk, or another program wrote to it
                    place.unlink(missing_ok=True)
                    continue
                _link(place, one.target)
                os.utime(place, ns=(time.time_ns(), place.stat().st_mtime_ns))  # access time: used last
            except FileNotFoundError:
                continue  # never was here, or was removed this moment
            return True
        return False

    # -- fetching

    def _fetch_all(self, missing: Sequence[Wanted], progress: CountBytes, keep_going: Callable[[], None]) -> None:
        small = [one for one in missing if one.entry.size <= self._part_bytes]
        large = [one for one in missing if one.entry.size > self._part_bytes]
        with ThreadPoolExecutor(FETCHERS, thread_name_prefix="sagespec-fetch") as pool:
            try:
                futures = [pool.submit(self._fetch, one, progress, keep_going, None) for one in small]
                for one in large:  # one after the other, each by all fetchers
                    self._fetch(one, progress, keep_going, pool)
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetch(
        self, one: Wanted, progress: CountBytes, keep_going: Callable[[], None], pool: ThreadPoolExecutor | None
    ) -> None:
        """Fetch one object, or wait until another run has. pool: fetches its parts side by side."""
        by_content, by_place = self._places(one)
        partial = self._partial / by_place.name
        while True:
            with _alone(partial, keep_going) as file:
                if self._give(one):
                    progress(one.entry.size)
                    if file is not None:
                        partial.unlink()
                    return
                if file is None:
                    continue
                journal = partial.with_suffix(f".{self._part_bytes}")  # parts of another size are other parts
                self._fetch_parts(one, file, journal, progress=progress, keep_going=keep_going, pool=pool)
                is_md5 = _MD5.fullmatch(one.entry.etag) is not None and _md5(file) == one.entry.etag
                place = by_content if is_md5 else by_place
                place.parent.mkdir(parents=True, exist_ok=True)
                os.fchmod(file, 0o444)
                _link(partial, one.target)  # before others can find it, so that it is not removed as unused
                partial.rename(place)
                journal.unlink(missing_ok=True)
                return

    def _fetch_parts(
        self,
        one: Wanted,
        file: int,
        journal: Path,
        *,
        progress: CountBytes,
        keep_going: Callable[[], None],
        pool: ThreadPoolExecutor | None,
    ) -> None:
        size = one.entry.size
        if os.fstat(file).st_size != size:
            journal.unlink(missing_ok=True)
            os.ftruncate(file, size)
        starts = range(0, size, self._part_bytes)
        there = _noted(journal) & set(starts)
        progress(sum(min(self._part_bytes, size - start) for start in there))
        notes = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

        def fetch(start: int) -> None:
            keep_going()
            part = _read(one, start, min(self._part_bytes, size - start), pause_seconds=self._pause_seconds)
            _write(file, part, start)
            os.fsync(file)  # a note must not outlive the data it is about
            os.write(notes, f"{start}\n".encode())
            progress(len(part))

        futures: list[Future[None]] = []
        try:
            due = [start for start in starts if start not in there]
            if pool:
                futures += [pool.submit(fetch, start) for start in due]
            else:
                for start in due:
                    fetch(start)
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)  # nothing may be written once the lock is released
            os.close(notes)

    # -- room

    def _make_room(self, needed: int) -> None:
        """Remove the least recently used files that no job is using, until `needed` more bytes fit, if possible."""
        held = sorted(self._held())
        left = sum(size for _, size, _ in held) + needed
        for _, size, file in held:
            if left <= self._limit:
                return
            if self._remove(file):
                left -= size

    def _held(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, bytes on disk and place of all that is here."""
        parts = [file for file in self._partial.glob("*") if not file.suffix]  # their notes go with them
        for file in (*self._objects.glob("*/*"), *parts):
            with suppress(FileNotFoundError):
                status = file.stat()
                yield status.st_atime, status.st_blocks * 512, file

    def _remove(self, file: Path) -> bool:
        """Remove the file unless a job has links to it or it is being fetched; whether it is gone."""
        with suppress(FileNotFoundError):
            if file.parent != self._partial:
                if file.stat().st_nlink > 1:
                    return False
                file.unlink()
                return True
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for note in self._partial.glob(f"{file.stem}.*"):
                    note.unlink()
                file.unlink()
            except BlockingIOError:
                return False
            finally:
                os.close(handle)
        return True


def link_or_copy(file: Path, target: Path) -> None:
    """`file` at `target`: a hard link where the disk and the owner allow one and everybody may read it, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.stat().st_mode & 0o004:  # root in a container may be no more than everybody
        try:
            target.hardlink_to(file.resolve())  # of a link, Linux would make another link, which may lead nowhere
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EDQUOT):
                raise
        else:
            return
    shutil.copyfile(file, target)
    target.chmod(file.stat().st_mode | 0o444)


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)  # a file in its place is no reason to go without
    with suppress(FileExistsError):
        link_or_copy(file, target)


@contextmanager
def _alone(partial: Path, keep_going: Callable[[], None]) -> Iterator[int | None]:
    """The open and locked file; None when it was finished or removed by the one that was waited for."""
    make_folder(partial.parent)
    file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not _lock(file):
            keep_going()
            time.sleep(POLL_EVERY_SECONDS)
        try:
            is_same = os.path.samestat(os.fstat(file), partial.stat())
        except FileNotFoundError:
            is_same = False
        yield file if is_same else None
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(one: Wanted, start: int, size: int, *, pause_seconds: float) -> bytes:
    """A part; tried again when the connection breaks off in the middle of it."""
    for _ in range(TRIES - 1):
        try:
            return one.store.read_part(one.entry.key, start, size, if_match=one.entry.etag)
        except Conflict:
            raise
        except WorldError:
            time.sleep(pause_seconds)
    return one.store.read_part(one.entry.key, start, size, if_match=one.entry.etag)


def _write(file: int, data: bytes, start: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, start)
        view, start = view[written:], start + written


def _noted(journal: Path) -> set[int]:
    """Where the parts begin that are there; a line that was cut off by a kill does not count."""
    try:
        lines = journal.read_text().split("\n")[:-1]
    except FileNotFoundError:
        return set()
    return {int(line) for line in lines if line.isdigit()}


def _md5(file: int) -> str:
    with os.fdopen(os.dup(file), "rb") as stream:
        stream.seek(0)
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()
