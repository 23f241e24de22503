"""The archive that a job is imported from: how large it is and which; and a copy of exactly that one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.state.observed import Archive
from sagespec.stores.keys import sha256_of
from sagespec.stores.open import open_store
from sagespec.stores.protocol import CountBytes

Checksums = dict[tuple[Path, int, int], str]  # SHA-256 of files, by path, size and time of change


def archive_at(source: str, root: Path, known: Checksums | None = None) -> Archive:
    """known: a file that is as it was is not read again, and what is read is added. WorldError where there is none."""
    if "://" not in source:
        return _file_at(root / source, source, {} if known is None else known)
    entries = open_store(source, root=root, create=False).entries()
    entry = next((entry for entry in entries if entry.key == source.rpartition("/")[2]), None)
    if entry is None:
        raise WorldError(f"there is no object {source}", fix="correct imported_from, or put the model there")
    return Archive(entry.size, f"etag {entry.etag}")


def fetch_archive(source: str, root: Path, file: Path, *, wanted: Archive | None, progress: CountBytes) -> None:
    """A copy to `file`. WorldError where what is there is not what was `wanted`, or was replaced meanwhile."""
    before = _refuse_another(source, archive_at(source, root), wanted) if "://" in source else wanted
    above, _, name = source.rpartition("/")
    folder = above if "://" in source else str((root / source).parent.absolute())
    open_store(folder, root=root, create=False).download(name, file, progress=progress)
    if "://" in source:
        _refuse_another(source, archive_at(source, root), before)
    elif wanted:
        _refuse_another(source, Archive(file.stat().st_size, f"sha256 {sha256_of(file)}"), wanted)


def _file_at(file: Path, name: str, known: Checksums) -> Archive:
    with disk_problems(f"cannot read {name}"), file.open("rb") as opened:
        status = os.fstat(opened.fileno())
        key = (file, status.st_size, status.st_mtime_ns)
        if key not in known:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            after = os.fstat(opened.fileno())
            if (after.st_size, after.st_mtime_ns) != key[1:]:
                return Archive(after.st_size, f"sha256 {sha256}")  # still being written: look again the next time
            known[key] = sha256
        return Archive(status.st_size, f"sha256 {known[key]}")


def _refuse_another(source: str, found: Archive, wanted: Archive | None) -> Archive:
    if wanted and found != wanted:
        raise WorldError(
            f"{source} is not the archive that was planned: it has {found}",
            why=f"it had {wanted}, and a version is imported once and for all",
            fix="plan again: the plan then shows what is there now",
        )
    return found
