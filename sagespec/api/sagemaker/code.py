"""A script's files, brought from a bucket into the project, so that a commit holds all that a job was trained with.

Clients put them there: SDK 2 as an archive, SDK 3 file by file. What is in an archive was made by somebody else, and is
unpacked as a model is: files and folders below its root, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.api.sagemaker.translate.scripts import Drivers, Script, drivers_source, script_of
from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.private import make_folder
from sagespec.records.archive import unpack
from sagespec.sources.files import is_shipped
from sagespec.stores.open import open_store

MOST_BYTES = 512 * 2**20  # of a script's files, unpacked
MOST_FILES = 10_000
_MOST_JSON = 2**20


def read_drivers(parts: Parts, source: str) -> Drivers:
    """What SDK 3's drivers at this address read. Refused where they are not there."""
    with _refusals():
        store = open_store(f"{source.rstrip('/')}/", root=parts.root, create=False)
        found = store.read_many(["sourcecode.json", "distributed.json", "sm_train.sh"])
    train = found.get("sm_train.sh", b"").decode(errors="replace")
    return Drivers(_object(found.get("sourcecode.json")), _object(found.get("distributed.json")), train)


@contextmanager
def fetched(parts: Parts, script: Script) -> Iterator[Path]:
    """A folder with the script's files, until the block ends. Refused where they cannot be had."""
    with tempfile.TemporaryDirectory(dir=parts.scratch) as scratch, _refusals():
        folder = Path(scratch, "code")
        folder.mkdir()
        if script.source.endswith("/"):
            _fetch_files(parts, script.source, folder)
        else:
            _fetch_archive(parts, script.source, Path(scratch), folder)
        if not (folder / script.entry_point).is_file():
            raise Refused(f"there is no {script.entry_point} in {script.source}")
        yield folder


@contextmanager
def script_files(parts: Parts, request: Mapping[str, Any]) -> Iterator[tuple[Script | None, Path | None]]:
    """A training job's script and a folder with its files, fetched before anything is decided: that may take its
    time."""
    source = drivers_source(request)
    script = script_of(request, read_drivers(parts, source) if source else None)
    if script is None:
        yield None, None
        return
    with fetched(parts, script) as folder:
        yield script, folder


def place(fetched_files: Path, folder: Path) -> None:
    """Put the files where the spec names them; `folder` is not there yet."""
    make_folder(folder.parent)
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(fetched_files, beside)  # the scratch folder may be on another disk
    beside.rename(folder)


def fingerprint(folder: Path) -> str:
    """Of all that is in a folder, names and content, but for what Python has compiled."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def remove_unchanged(folder: Path, written: str) -> bool:
    """Remove a folder that is as we wrote it; whether it was."""
    if not written or folder.is_symlink() or not folder.is_dir() or fingerprint(folder) != written:
        return False
    shutil.rmtree(folder)
    return True


def _fetch_archive(parts: Parts, uri: str, scratch: Path, folder: Path) -> None:
    above, _, name = uri.rpartition("/")
    archive = scratch / "sourcedir.tar.gz"
    open_store(above, root=parts.root, create=False).download(name, archive)
    unpack(archive, folder, max_bytes=MOST_BYTES, max_members=MOST_FILES, name_for_people=uri)
    for left in [path for path in folder.rglob("*") if not is_shipped(path.relative_to(folder).as_posix())]:
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _fetch_files(parts: Parts, uri: str, folder: Path) -> None:
    store = open_store(uri, root=parts.root, create=False)
    entries = [entry for entry in store.entries() if is_shipped(entry.key)]
    if len(entries) > MOST_FILES or sum(entry.size for entry in entries) > MOST_BYTES:
        raise Refused(f"{uri} holds more than {MOST_FILES:,} files, or more than {MOST_BYTES >> 20} MiB")
    for entry in entries:
        store.download(entry.key, folder / entry.key)


def _object(data: bytes | None) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = json.loads(data or b"{}") if data is None or len(data) <= _MOST_JSON else None
        if isinstance(found, dict):
            return found
    raise Refused("what SDK 3 says of the job's source code cannot be read: sourcecode.json or distributed.json")


@contextmanager
def _refusals() -> Iterator[None]:
    """Turns what is wrong with the files into an answer to the client."""
    try:
        yield
    except WorldError as error:
        problem = error.problems[0]
        raise Refused("; ".join(filter(None, (problem.what, problem.why, problem.fix)))) from error
