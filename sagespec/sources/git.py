"""The commit that a project is at, as manifests and revisions record it, and why there is none.

`parts` hands it to whoever writes a record; `doctor` and each run report why a commit cannot be had. The caller may be
a git hook, which has its own repository in the environment: that of the project is meant all the same.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sagespec.own_git import environment_of_git
from sagespec.state.manifest import Git

SECONDS = 10.0


@dataclass(frozen=True)
class GitFound:
    """git: None outside of a repository, before its first commit, and where `problem` says why it is not known."""

    git: Git | None
    problem: str = ""
    fix: str = ""


def find_commit(root: Path, *, ours: Sequence[str] = ()) -> GitFound:
    """The commit of the repository around `root`, and whether its tree has changes. ours: folders that sagespec
    fills, relative to root; they are no changes."""
    try:
        commit = run_git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except (OSError, subprocess.SubprocessError) as error:
        return _why_not(root, error)
    if not commit:
        return GitFound(None)
    left_out = [f":(exclude,literal){folder}" for folder in ours]
    try:
        changes = run_git(root, "--no-optional-locks", "status", "--porcelain", "--", ".", *left_out)
    except (OSError, subprocess.SubprocessError) as error:
        problem = f"whether the tree has changes is not known ({_said(error)}), so it counts as changed"
        return GitFound(Git(commit=commit, dirty=True), problem, f"see `git -C {root} status`")
    return GitFound(Git(commit=commit, dirty=bool(changes)))


def run_git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        env=environment_of_git(),
        stdin=subprocess.DEVNULL,
    )
    if done.returncode and done.stderr.strip():  # it says nothing of a repository without a commit
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done.stdout.strip()


def _why_not(root: Path, error: Exception) -> GitFound:
    said = _said(error)
    if "mount point" in said or not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return GitFound(None)  # there is no repository, or none as git looks for one
    fix = f"see `git -C {root} rev-parse HEAD`"
    if isinstance(error, FileNotFoundError):
        fix = "install git, or add it to PATH"
    elif "dubious ownership" in said:
        said = "the repository belongs to another user, and git does not read it"
        fix = f"git config --global --add safe.directory {_top(root)}"
    return GitFound(None, f"the commit is not recorded: {said}", fix)


def _top(root: Path) -> Path:
    return next(folder for folder in (root, *root.parents) if (folder / ".git").exists())


def _said(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "git is not installed"
        case subprocess.TimeoutExpired():
            return f"git takes longer than {SECONDS:g} s"
        case subprocess.CalledProcessError():
            return str(error.stderr).strip().splitlines()[0].removeprefix("fatal: ")
        case _:
            return str(error)


def changed_files(root: Path) -> tuple[str, ...]:
    """Paths below `root`, relative to it, that git does not have as they are: edited, or new and not ignored. Nothing
    where git cannot say."""
    try:
        top = Path(run_git(root, "rev-parse", "--show-toplevel"))
        said = run_git(root, "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return ()
    paths = [top / entry[3:] for entry in said.split("\0") if len(entry) > 3 and entry[2] == " "]
    inside, real = [], root.resolve()
    for path in paths:
        with suppress(ValueError):
            inside.append(path.relative_to(real).as_posix())
    return tuple(inside)
