"""How far the spec files are from what git has: whether it is writing them just now, and which it left out.

`--prune` asks before it believes that something is in no spec. git is read through its files and asked without its
variables: a hook has some that name another repository.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from sagespec.load.files import holds, shown_name
from sagespec.own_git import environment_of_git

_SUBMODULE = "160000"
_GITDIR = "gitdir:"


def git_lock(paths: Sequence[Path]) -> Path | None:
    """The index.lock of a git that is at work on one of these files and folders, or on what they link to."""
    folders = {folder for path in paths for start in {path, path.resolve()} for folder in (start, *start.parents)}
    folders |= {folder for path in paths for folder in _below(path)}
    locks = (git_dir / "index.lock" for git_dir in filter(None, map(_git_dir, sorted(folders))))
    return next((lock for lock in locks if holds(lock.exists)), None)


def _below(path: Path) -> Iterator[Path]:
    """The folders below that may hold specs, each once however it is reached: a submodule has a lock of its own."""
    seen: set[str] = set()
    for folder, names, _ in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        names[:] = [] if real in seen else [name for name in names if not name.startswith(".")]
        seen.add(real)
        yield Path(real)


def _git_dir(folder: Path) -> Path | None:
    """git's own folder for the work tree at `folder`; that of a worktree or a submodule is elsewhere."""
    found = folder / ".git"
    if holds(found.is_dir):
        return found
    try:
        told = found.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return folder / told.removeprefix(_GITDIR).strip() if told.startswith(_GITDIR) else None


def not_checked_out(folders: Sequence[Path], root: Path) -> list[str]:
    """What git has in these folders and has not put there: submodules, and spec files beyond a sparse checkout; as
    people know them. Nothing where there is no git to ask."""
    found = [path for folder in folders for path in _left_out(folder.resolve())]
    return sorted({shown_name(path, root.resolve()) for path in found})


def _left_out(folder: Path) -> Iterator[Path]:
    command = ["git", "-C", str(folder), "ls-files", "--stage", "-t", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, timeout=10, env=environment_of_git()).stdout
    except (OSError, subprocess.SubprocessError):
        return
    for line in os.fsdecode(listed).split("\0")[:-1]:
        about, _, name = line.partition("\t")
        tag, mode, *_ = about.split()
        path = folder / name
        is_empty = mode == _SUBMODULE and holds(path.is_dir) and not any(path.iterdir())
        is_beyond = tag == "S" and path.suffix in (".yaml", ".yml") and not holds(path.exists)
        if is_empty or is_beyond:
            yield path
