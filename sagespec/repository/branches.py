"""Branches that sagespec proposes changes on: made from the tip of another one each time, and pushed with a lease.

The work is done in a tree of its own: the checkout of whoever calls it is left alone, and so is its index. Remote,
credentials and signing are those that the checkout is configured with, unless another git is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sagespec.errors import WorldError
from sagespec.own_git import git

SECONDS = 600.0
MARK = "Proposed-by: sagespec"
NAME, EMAIL = "sagespec", "sagespec@localhost"  # of commits, where git knows nobody


class Git(Protocol):
    """The command in a folder: what it prints. WorldError with its own words when it fails."""

    def __call__(self, folder: Path, *words: str) -> str: ...


def own_git(folder: Path, *words: str) -> str:
    """As the user of the checkout has it configured."""
    return git(folder, *words, seconds=SECONDS).strip()


@dataclass(frozen=True)
class Tree:
    """A tree at the tip of a branch. root: what stands there for the project's folder. base: that branch; commit: its
    tip. checkout: whose tree it is; a remote that is a relative path starts there. git: how it is called."""

    root: Path
    top: Path
    checkout: Path
    remote: str
    base: str
    commit: str
    git: Git = own_git

    def begin_again(self) -> None:
        """As it was at the tip."""
        self.git(self.top, "reset", "--quiet", "--hard", self.commit)

    def commit_all(self, message: str) -> str:
        """The new commit with all that was edited."""
        known = self.git(self.top, "config", "--default", "", "user.email")
        who = () if known else ("-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}")
        self.git(self.top, *who, "commit", "--quiet", "--all", "--no-verify", f"--message={message}\n\n{MARK}")
        return self.git(self.top, "rev-parse", "HEAD")

    def tip_of(self, branch: str) -> str:
        """The tip of a branch of the remote, fetched; '' where there is none."""
        listed = self.git(self.checkout, "ls-remote", self.remote, f"refs/heads/{branch}")
        if not listed:
            return ""
        _fetch(self.git, self.checkout, self.remote, branch)
        return self.git(self.top, "rev-parse", f"refs/remotes/{self.remote}/{branch}")

    def is_ours(self, commit: str) -> bool:
        """Whether `commit_all` made it, or it is in the base branch already."""
        if MARK in self.git(self.top, "log", "-1", "--format=%B", commit):
            return True
        with suppress(WorldError):  # no common ancestor, too
            return self.git(self.top, "merge-base", commit, self.commit) == commit
        return False

    def is_same(self, commit: str, other: str) -> bool:
        """Whether two commits hold the same files and were made from the same one."""
        return all(self.git(self.top, "rev-parse", f"{commit}{of}") == self._of(other, of) for of in ("^{tree}", "^"))

    def _of(self, commit: str, of: str) -> str:
        with suppress(WorldError):
            return self.git(self.top, "rev-parse", f"{commit}{of}")
        return ""

    def push(self, branch: str, commit: str, *, instead_of: str) -> None:
        """Make the branch this commit. WorldError where somebody has pushed to it since it was looked at."""
        lease = f"--force-with-lease=refs/heads/{branch}:{instead_of}"
        self.git(self.checkout, "push", "--quiet", "--no-verify", lease, self.remote, f"{commit}:refs/heads/{branch}")


@contextmanager
def tree_of(root: Path, *, remote: str, base: str, folder: Path, git: Git = own_git) -> Iterator[Tree]:
    """A tree in `folder` at the tip of a branch of the remote, for the project in `root`; gone afterwards."""
    here = Path(git(root, "rev-parse", "--show-toplevel")).resolve()
    _fetch(git, here, remote, base)
    commit = git(here, "rev-parse", f"refs/remotes/{remote}/{base}")
    top = folder / "tree"
    git(here, "worktree", "add", "--quiet", "--detach", str(top), commit)
    try:
        yield Tree(top / root.resolve().relative_to(here), top, here, remote, base, commit, git)
    finally:
        with suppress(WorldError):
            git(here, "worktree", "remove", "--force", str(top))


def url_of(root: Path, remote: str) -> str:
    """Where a remote is. WorldError where there is no repository or no such remote."""
    return own_git(root, "remote", "get-url", remote)


def _fetch(git: Git, top: Path, remote: str, branch: str) -> None:
    try:
        git(top, "fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}")
    except WorldError as error:
        problem = error.problems[0]
        raise WorldError(
            f"the branch {branch} of {remote} cannot be had: {problem.what}",
            fix="name them with --remote and --base, or see `git remote -v`",
        ) from None
