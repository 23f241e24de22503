"""The folder `.sagespec` of a project, for its owner alone: what programs are started with and print may hold secrets.

Whoever makes a folder that may lie in it makes it here; `parts` closes the folder that an earlier release made.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

NAME = ".sagespec"


def kept_in(home: Path, environment: str) -> Path:
    """What this machine keeps for the project: each environment has its own, as it is a project."""
    return home / NAME / "environments" / environment if environment else home / NAME


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; `.sagespec` among them can be entered by its owner alone."""
    if folder.is_dir():
        return
    for above in reversed((folder, *folder.parents)):
        if not above.exists():
            above.mkdir(mode=0o700 if above.name == NAME else 0o777, exist_ok=True)
            share_like_its_folder(above)
    folder.mkdir(exist_ok=True)  # says so if there is a file


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all; its folder is made."""
    make_folder(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def share_like_its_folder(path: Path) -> None:
    """Let a group write what lies in a folder that it shares (setgid and writable for it), whatever our umask."""
    folder, status = path.parent.stat().st_mode, path.stat()
    if path.name == NAME or not (folder & stat.S_ISGID and folder & stat.S_IWGRP):
        return
    mode = stat.S_IMODE(status.st_mode)
    shared = mode | (stat.S_ISGID | 0o070 if stat.S_ISDIR(status.st_mode) else 0o060)
    if shared != mode:
        with suppress(PermissionError):  # another user's, who has the right to say
            path.chmod(shared)


def close_to_others(root: Path) -> None:
    """Take from others what they may do in `.sagespec`, unless it is not ours, or was shared on purpose (setgid)."""
    folder = root / NAME
    with suppress(OSError):  # there is none; or it may not be changed, and whoever made it so knows
        status = folder.stat()
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == os.geteuid() and mode & 0o077 and not mode & stat.S_ISGID:
            folder.chmod(mode & ~0o077)
