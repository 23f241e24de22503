"""Where buckets and their objects are on the disk, and how they are read.

    s3/acme/churn/train.csv     the object churn/train.csv of the bucket acme: a plain file, so that it can be mounted
    s3/.about/acme/3f/3f…       its ETag, type, metadata, tags: a side file, named by the key's hash
    s3/.aside/acme/9c…          an object whose key is no path (`dir/`, `a//b`, `../x`), or cannot be one beside others
                                (`a`, where `a/b` is there)
    s3/.aside/acme/9c….link     a file of the store that is read under this key
    s3/.incoming, s3/.uploads   what is being written
    s3/.lock                    held for the moments in which a name is given

A file that someone puts into a bucket's folder is an object. Symbolic links are none, and none is followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from sagespec.buckets.about import About, Side, read_side
from sagespec.buckets.names import FOLDER, check_bucket_name, check_key, hashed, is_bucket_name, is_plain
from sagespec.buckets.refusals import no_such_bucket
from sagespec.private import NAME, make_folder

_LOOKS = 5  # at an object that is replaced again and again while it is opened
_FOLDER_MODE = 0o755  # `.sagespec` is closed to others; in a container another user reads them


def folder_of(root: Path) -> Path:
    """Where a project has its buckets."""
    return root / NAME / FOLDER


@dataclass(frozen=True)
class Found:
    """An object: where its content is, and what is known of it."""

    key: str
    path: Path
    about: About


class Layout:
    """The buckets of `root`, a folder that need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- places

    def bucket(self, bucket: str) -> Path:
        return self.root / check_bucket_name(bucket)

    def has(self, bucket: str) -> bool:
        path = self.root / bucket
        return is_bucket_name(bucket) and path.is_dir() and not path.is_symlink()

    def require(self, bucket: str) -> Path:
        path = self.bucket(bucket)
        if not self.has(bucket):
            raise no_such_bucket(bucket)
        return path

    def side_folder(self, bucket: str) -> Path:
        return self.root / ".about" / bucket

    def aside_folder(self, bucket: str) -> Path:
        return self.root / ".aside" / bucket

    def side(self, bucket: str, key: str) -> Path:
        name = hashed(key)
        return self.side_folder(bucket) / name[:2] / name

    def aside(self, bucket: str, key: str) -> Path:
        return self.aside_folder(bucket) / hashed(key)

    def link(self, bucket: str, key: str) -> Path:
        return self.aside_folder(bucket) / f"{hashed(key)}.link"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The only one who gives or takes names here, among threads and processes."""
        make_folder(self.root)
        descriptor = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # -- reading

    def locate(self, bucket: str, key: str) -> Path | None:
        """The file of the key's content, wherever it lies; None when there is no such object."""
        self.require(bucket)
        check_key(key)
        if is_plain(key) and _is_file(path := self.root / bucket / key) and not self.is_behind_link(bucket, key):
            return path
        if _is_file(aside := self.aside(bucket, key)):
            return aside
        return linked(self.link(bucket, key))

    def is_behind_link(self, bucket: str, key: str) -> bool:
        """Whether a folder on the way to the key is a symbolic link."""
        here = self.root / bucket
        for name in key.split("/")[:-1]:
            here /= name
            if here.is_symlink():
                return True
        return False

    def find(self, bucket: str, key: str) -> Found | None:
        for _ in range(_LOOKS):
            path = self.locate(bucket, key)
            if path is None:
                return None
            with suppress(FileNotFoundError):
                return Found(key, path, self.about(bucket, key, path, path.stat()))
        return None

    def open(self, bucket: str, key: str) -> tuple[FileIO, About] | None:
        """The content and what is known of exactly this content; None when there is no such object."""
        for _ in range(_LOOKS):
            path = self.locate(bucket, key)
            if path is None:
                return None
            try:
                stream = open_file(path)
            except FileNotFoundError:
                continue
            status = os.fstat(stream.fileno())
            if self.recorded(bucket, key, path, status) or _is_same(path, status):
                return stream, self.about(bucket, key, path, status)
            stream.close()  # replaced twice since, so that nothing is known of it any more
        return None

    def about(self, bucket: str, key: str, path: Path, status: os.stat_result) -> About:
        """What is known of the content with this `status`; of a file that was put here by hand, its MD5 is found."""
        recorded = self.recorded(bucket, key, path, status)
        if recorded:
            return recorded
        about = read_about(path)
        with self.exclusive():
            self.write_side(bucket, Side(key, (about, *self.known(bucket, key))[:2]))
        return about

    def recorded(self, bucket: str, key: str, path: Path, status: os.stat_result) -> About | None:
        known = Side(key, self.known(bucket, key)).of(status.st_size, status.st_mtime_ns)
        return known or _of_link(self.link(bucket, key), path, status)

    def known(self, bucket: str, key: str) -> tuple[About, ...]:
        try:
            side = read_side(self.side(bucket, key).read_bytes())
        except FileNotFoundError:
            return ()
        return side.known if side else ()

    def write_side(self, bucket: str, side: Side) -> None:
        """Under the lock."""
        write_whole(self.side(bucket, side.key), side.text())


def write_whole(path: Path, content: bytes) -> None:
    """A record of ours, with its folder: the one before or this one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_file(path: Path) -> FileIO:
    """A file and nothing that a symbolic link leads to, nor what might have no end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb", buffering=0)
    os.close(descriptor)
    raise FileNotFoundError(f"{path} is no file")


def read_about(path: Path) -> About:
    """What a file says of itself."""
    with open_file(path) as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
        status = os.fstat(stream.fileno())
    return About(digest.hexdigest(), status.st_size, status.st_mtime_ns)


def linked(record: Path) -> Path | None:
    """The file that a `.link` names, if both are there."""
    try:
        target = Path(json.loads(record.read_bytes())["target"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return target if _is_file(target) else None


def _of_link(record: Path, path: Path, status: os.stat_result) -> About | None:
    """Of a file of the store. Its ETag is no MD5, which would have to be read out of gigabytes, and does not look like
    one."""
    try:
        found = json.loads(record.read_bytes())
        if Path(found["target"]) != path:
            return None
        said = found.get("sha256") or hashlib.sha256(f"{status.st_size}-{status.st_mtime_ns}".encode()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return About(f"{said[:32]}-1", status.st_size, status.st_mtime_ns)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _is_same(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False


def make_plain_folder(folder: Path) -> None:
    """One level; whoever may read the bucket may enter it, whatever our umask."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(_FOLDER_MODE)


def flush_folder(folder: Path) -> None:
    """A rename must survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
