"""The key that clients sign their requests with: made once for a project, for its owner alone.

In each, `folder` is what this machine keeps for the project in its environment."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.private import write_private

_FORM = re.compile(r"(?P<access>[A-Z0-9]{16,64})\n(?P<secret>[A-Za-z0-9_-]{32,128})\n?")


@dataclass(frozen=True)
class Key:
    """As AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""

    access: str
    secret: str


def key_file(folder: Path) -> Path:
    return folder / "api.key"


def read_key(folder: Path) -> Key | None:
    """The project's key; None before it has one. WorldError when the file is no key."""
    file = key_file(folder)
    with disk_problems(f"cannot read {file}"):
        try:
            text = file.read_text()
        except FileNotFoundError:
            return None
    if found := _FORM.fullmatch(text):
        return Key(found["access"], found["secret"])
    raise WorldError(f"{file} is no key", fix="delete it: the next `sagespec api` makes another one")


def make_key(folder: Path) -> Key:
    """The project's key, made if there is none. Only for who has claimed the server."""
    if found := read_key(folder):
        return found
    file, key = key_file(folder), Key(f"ASGS{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30))
    with disk_problems(f"cannot write {file}"):
        write_private(file, f"{key.access}\n{key.secret}\n")
    return key
