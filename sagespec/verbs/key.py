"""Makes a key for a caller of the gateway, in a file that git leaves out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sagespec.errors import SpecError, WorldError, disk_problems
from sagespec.private import write_private
from sagespec.spec.values import NAME_HELP, is_name, quoted

FOLDER = "keys"
KEY_BYTES = 32


@dataclass(frozen=True)
class MadeKey:
    """file: relative to the project's folder. key: shown this once."""

    name: str
    file: str
    key: str = field(repr=False)

    @property
    def spec_line(self) -> str:
        """What sagespec.yaml says of it, under gateway.callers."""
        return f"{self.name}: {{key: {{file: {self.file}}}}}"

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "file": self.file, "key": self.key, "spec": self.spec_line}


def make_key(root: Path, name: str) -> MadeKey:
    """A key of 256 bits for the caller, made by chance. WorldError when there is one already."""
    if not is_name(name):
        raise SpecError(f"{quoted(name)} is not a name", fix=NAME_HELP)
    file, key = root / FOLDER / name, secrets.token_hex(KEY_BYTES)
    shown = f"{FOLDER}/{name}"
    if file.exists():
        raise WorldError(
            f"{shown} is there already",
            why="the caller may be using it",
            fix=f"make the next one under another name, {name}-next, and name it as next_key",
        )
    with disk_problems(f"cannot write {shown}"):
        write_private(file, f"{key}\n")
        ignore = file.with_name(".gitignore")
        if not ignore.exists():
            ignore.write_text("*\n")
    return MadeKey(name, shown, key)
