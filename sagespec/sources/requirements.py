"""What a script's requirements.txt needs that its folder keeps back: itself, or the local files that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sagespec.errors import disk_problems
from sagespec.sources.code import is_left_out
from sagespec.sources.ignored import Ignored

REQUIREMENTS = "requirements.txt"
_OPTION = re.compile(r"(?:-r|-c|-e|--requirement|--constraint|--editable)[ =]*")
_PATH = re.compile(r"[^\s;#\[]+")


def left_out(source: Path) -> list[str]:
    """The files and folders, by their paths in `source`, that are needed and ignored."""
    file = source / REQUIREMENTS
    if not file.is_file():
        return []
    if is_left_out(source, REQUIREMENTS):
        return [REQUIREMENTS]
    with disk_problems(f"cannot read {file}"):
        lines = file.read_text("utf-8-sig", errors="replace").splitlines()
    named = dict.fromkeys(path for line in lines for path in _named(line, source))
    return [path for path in named if _is_left_out(source, path)]


def _named(line: str, source: Path) -> Iterator[str]:
    """What is there under the name that a line gives."""
    found = _PATH.match(_OPTION.sub("", line.strip(), count=1))
    path = found[0].removeprefix("./").rstrip("/") if found else ""
    if path and not path.startswith(("/", "..")) and (source / path).exists():
        yield path


def _is_left_out(source: Path, path: str) -> bool:
    is_folder = (source / path).is_dir()
    return is_left_out(source, path) or (is_folder and Ignored(source).names(path, is_folder=True))
