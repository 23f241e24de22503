"""Which file a document is written to, and what else stays in it.

A job's file holds its newest version, and earlier ones only while somebody needs their spec, as those that are not
trained yet. An endpoint's file holds the endpoint. Pure but for reading the folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sagespec.documents.files import is_ours

_BREAK = re.compile(r"^---[ \t]*$\n?", re.MULTILINE)
_FIELD = re.compile(r"^(kind|name|version):[ \t]*['\"]?([A-Za-z0-9-]+)['\"]?[ \t]*(?:#.*)?$", re.MULTILINE)

IsNeeded = Callable[[int], bool]


def file_for(folder: Path, kind: str, name: str) -> Path:
    """Where this document is written: churn.yaml for a job, endpoint-churn.yaml for an endpoint; or churn-2.yaml and so
    on where that file is somebody's own, or another document's.

    Names that differ in case alone are one file on some disks, so they count as the same.
    """
    stem = name if kind == "TrainingJob" else f"{kind.lower()}-{name}"
    taken = {path.name.lower(): path for path in folder.iterdir()} if folder.is_dir() else {}
    number = 1
    while True:
        file = folder / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
        there = taken.get(file.name.lower())
        if there is None or (there.name == file.name and is_ours(there) and _holds_only(there, kind, name)):
            return file
        number += 1


def find(folder: Path, kind: str, name: str) -> Path | None:
    """The file of `file_for`, if it is there."""
    file = file_for(folder, kind, name)
    return file if file.exists() else None


def other_spelling(folder: Path, kind: str, name: str) -> str | None:
    """The name of a document here that differs from `name` in case alone: no project can have both."""
    stem = (name if kind == "TrainingJob" else f"{kind.lower()}-{name}").lower()
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        if path.stem.lower() == stem or path.stem.lower().startswith(f"{stem}-"):
            for found in map(_fields, _documents(path.read_text(encoding="utf-8", errors="replace"))):
                there = found.get("name", "")
                if found.get("kind") == kind and there != name and there.lower() == name.lower():
                    return there
    return None


def with_version(before: str, text: str, is_needed: IsNeeded) -> str:
    """The text of a job's file: the new document, then those of `before` whose version is needed, as they are.

    >>> print(with_version("version: 1\\n---\\nversion: 2\\n", "version: 3\\n", lambda version: version == 2), end="")
    version: 3
    ---
    version: 2
    """
    new = _fields(text).get("version")
    kept = [one for one in _documents(before) if _is_kept(one, new, is_needed)]
    return "---\n".join([text, *kept])


def without_version(before: str, version: int) -> str:
    """The text of a job's file without one document; '' when it was the only one."""
    kept = [one for one in _documents(before) if _fields(one).get("version") != str(version)]
    return "---\n".join(kept)


def versions_in(file: Path) -> list[int]:
    """The versions of the job whose file this is; none of one that is not there."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    found = (_fields(document).get("version", "") for document in _documents(text))
    return [int(version) for version in found if version.isdecimal()]


def _is_kept(document: str, new: str | None, is_needed: IsNeeded) -> bool:
    version = _fields(document).get("version", "")
    return not version.isdecimal() or (version != new and is_needed(int(version)))


def _holds_only(file: Path, kind: str, name: str) -> bool:
    found = [_fields(document) for document in _documents(file.read_text(encoding="utf-8"))]
    return all((one.get("kind"), one.get("name")) == (kind, name) for one in found)


def _documents(text: str) -> list[str]:
    """Each with its comments, ending in a line break."""
    return [f"{one.rstrip()}\n" for one in _BREAK.split(text) if one.strip()]


def _fields(document: str) -> dict[str, str]:
    return {found[1]: found[2] for found in _FIELD.finditer(document)}
