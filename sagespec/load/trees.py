"""Which tree of a followed repository a state folder is at: `sagespec -C` of that folder means the project there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sagespec.errors import SpecError
from sagespec.private import write_private
from sagespec.spec.secrets import SecretSource

FILE = "at.json"


@dataclass(frozen=True)
class At:
    """path: of sagespec.yaml in the tree. environment: the one that is meant; '' for none. source: the file of the
    source; '' where there is none."""

    commit: str
    path: str = "."
    environment: str = ""
    source: str = ""

    @property
    def secrets(self) -> Mapping[str, SecretSource]:
        """Those of the source. What the tree says of secrets does not count: anybody who commits could say it.

        None where the source is gone or wrong: to roll back or to stop what runs, nobody has to repair it first.
        """
        if not self.source:
            return {}
        from sagespec.load.source import load_source  # what describes a source is read by few

        file = Path(self.source)
        try:
            return {name: placed(secret, file.parent) for name, secret in load_source(file).secrets.items()}
        except SpecError:
            return {}

    def root_in(self, home: Path) -> Path:
        return home / "trees" / self.commit / self.path


def commit_of(root: Path) -> str:
    """The followed commit in whose tree a folder is; '' for a checkout of somebody's own."""
    for folder in (root, *root.parents):
        if folder.parent.name == "trees" and folder.with_name(f"{folder.name}.whole").is_file():
            return folder.name
    return ""


def read_at(home: Path) -> At | None:
    """None for a folder that is at no tree."""
    try:
        said = json.loads((home / FILE).read_text())
        return At(*(str(said[name]) for name in ("commit", "path", "environment", "source")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def placed(secret: SecretSource, base: Path) -> SecretSource:
    """The same, its path from the folder of the source."""
    return replace(secret, place=str(base / secret.place)) if secret.provider == "file" else secret


def write_at(home: Path, at: At) -> None:
    if read_at(home) != at:
        write_private(home / FILE, json.dumps(asdict(at)) + "\n")
