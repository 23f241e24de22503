"""What all stores share: valid keys, checksums, temporary names, and the wording of errors."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import InternalError, WorldError, disk_problems
from sagespec.stores.protocol import Conflict, UnfitKey

# Control characters and halves of surrogate pairs: a name with these fits neither into JSON nor into a URL.
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_key(key: str, uri: str) -> str:
    """`key` itself if it is a relative path that stays inside the store; otherwise UnfitKey.

    Names of inputs become files in a container, so names that would leave its folder are refused here, both when
    listed and when requested.
    """
    parts = key.split("/")
    if _UNFIT.search(key) or any(part in ("", ".", "..") for part in parts):
        raise UnfitKey(
            f"{key!r} in {uri} cannot be used as a file name",
            why="a key is a relative path without empty parts, '.', '..' and control characters",
            fix="rename or remove it",
        )
    return key


def input_only(uri: str) -> InternalError:
    return InternalError(f"{uri} was opened as an input and is written to")


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def changed(key: str, uri: str) -> Conflict:
    return Conflict(
        f"{uri}/{key} was changed or removed while it was read", fix="run again when nothing is writing to it"
    )


def check_sha256(found: str, expected: str | None, *, key: str, uri: str) -> None:
    """WorldError if an object's checksum is not the one recorded for it (None: none was recorded)."""
    if expected is not None and found != expected:
        raise WorldError(
            f"{uri}/{key} is damaged: its SHA-256 is {found}",
            why=f"{expected} was recorded when it was stored",
            fix="restore it from a backup, or train it again under a new version number",
        )


def missing(key: str, uri: str) -> WorldError:
    return WorldError(f"{uri}/{key} does not exist", fix="check the address; it may have been removed by hand")


@dataclass(frozen=True)
class InputPlace:
    """Where an input in a bucket is: below a prefix, as one object of that name, or as all whose names begin so."""

    prefix: str
    single: str = ""
    begins: str = ""


def input_place(
    uri: str, prefix: str, first_key: Callable[[str], str | None], has_objects: Callable[[str], bool]
) -> InputPlace:
    """Whether the address is an object, a folder or the beginning of names; WorldError if it is none of them.

    first_key: the first key that begins so. has_objects: whether the names of objects begin so, and not those of
    folders alone: `train` is not meant to be `train-old/`, which `train-` may be.
    """
    folder, _, name = prefix.rpartition("/")
    above = f"{folder}/" if folder else ""
    below = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
    first = first_key(prefix) if name else None
    if first == prefix:
        return InputPlace(above, single=name)
    if first_key(below):
        return InputPlace(below)
    if first is None or (name[-1].isalnum() and not has_objects(prefix)):
        raise WorldError(
            f"there is nothing at {uri}",
            why=f"it is no folder; the first object whose key begins so is {first}" if first else "",
            fix="check the bucket and the prefix",
        )
    return InputPlace(above, begins=name)


OURS = ".sagespec-"  # prefix of our own files, which are never listed as objects


def temporary_beside(file: Path) -> Path:
    """A unique name of ours in the folder of `file`."""
    return file.with_name(f"{OURS}{secrets.token_hex(8)}")


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary path next to `file`: replaces it if the block succeeds, and is removed if not."""
    with disk_problems(f"cannot write {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(file)
        try:
            yield temporary
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
