"""A copy of a repository elsewhere, and a tree of files for each commit that is applied from it.

The copy has all commits, and the files of those that trees were made of: `--filter=blob:none`, and never a depth, which
would lose what tells a new commit from a rewritten history. A tree is whole or not used. Killed anywhere, the next run
clears up what was begun. One process uses a mirror at a time (`claimed`).

    <folder>/mirror.git, <folder>/trees/<commit>/, and beside each tree a file <commit>.whole
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.private import make_folder
from sagespec.repository.commands import FETCH_SECONDS, NO_SUCH_REF, GitCommand, GitRefused
from sagespec.repository.tags import highest
from sagespec.state.remote import Remote, RemoteState

KEPT_TREES = 20  # programs of one's own that run as processes run from their tree
_TRACKED = "refs/sagespec/head"


@dataclass(frozen=True)
class Follow:
    """What is followed: a branch, or the highest of the tags that match."""

    branch: str = "main"
    tags: str = ""


@dataclass
class Mirror:
    """Of the repository that `git` calls, in a folder of its own."""

    git: GitCommand
    folder: Path
    follow: Follow
    _found: dict[str, tuple[str, str]] = field(default_factory=dict)  # by commit: its ref, and what that names

    @property
    def git_dir(self) -> Path:
        return self.folder / "mirror.git"

    @property
    def here(self) -> GitCommand:
        return replace(self.git, git_dir=self.git_dir)

    def head(self) -> Remote:
        """What is to be applied, as the repository has it now: one question. It may be unreachable."""
        try:
            return self._highest_tag() if self.follow.tags else self._branch()
        except GitRefused as error:
            return Remote(RemoteState.UNREACHABLE, text=error.said or str(error))
        except WorldError as error:  # no token
            return Remote(RemoteState.UNREACHABLE, text=error.problems[0].what)

    def _branch(self) -> Remote:
        ref = f"refs/heads/{self.follow.branch}"
        code, text = self.git("ls-remote", "--exit-code", self.git.url, ref, accepts=NO_SUCH_REF)
        found = {name: commit for commit, _, name in (line.partition("\t") for line in text.splitlines())}
        if code or ref not in found:
            return Remote(RemoteState.GONE, name=self.follow.branch)
        self._found[found[ref]] = ref, found[ref]
        return Remote(RemoteState.FOUND, found[ref], self.follow.branch)

    def _highest_tag(self) -> Remote:
        code, text = self.git("ls-remote", "--exit-code", "--tags", self.git.url, accepts=NO_SUCH_REF)
        lines = (line.partition("\t") for line in text.splitlines())
        found = {name.removeprefix("refs/tags/"): commit for commit, _, name in lines}
        tag = highest((name for name in found if not name.endswith("^{}")), self.follow.tags)
        if code or not tag:
            return Remote(RemoteState.GONE, name=self.follow.tags)
        commit = found.get(f"{tag}^{{}}", found[tag])
        self._found[commit] = f"refs/tags/{tag}", found[tag]
        return Remote(RemoteState.FOUND, commit, tag)

    def fetch(self, commit: str) -> None:
        """Have the commit that `head` has found, and all before it. A copy that is damaged is made again, once."""
        if self.has(commit):
            return
        try:
            self._fetch(commit)
        except GitRefused:
            if self.head().state is RemoteState.UNREACHABLE:
                raise
            shutil.rmtree(self.git_dir, ignore_errors=True)
            self._fetch(commit)
        if not self.has(commit):
            raise WorldError(f"{self.git.url} does not give the commit {commit[:12]}", fix="it may have moved on: wait")

    def _fetch(self, commit: str) -> None:
        with disk_problems(f"cannot write {self.folder}"):
            make_folder(self.folder)
        if not (self.git_dir / "HEAD").is_file():
            shutil.rmtree(self.git_dir, ignore_errors=True)
            self.git("init", "-q", "--bare", str(self.git_dir))
        for name, value in (
            ("remote.origin.url", self.git.url),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialclonefilter", "blob:none"),
            ("core.repositoryformatversion", "1"),
            ("extensions.partialClone", "origin"),
        ):
            self.here("config", name, value)
        ref, _ = self._found.get(commit, (f"refs/heads/{self.follow.branch}", commit))
        words = (
            "fetch",
            "-q",
            "--no-tags",
            "--no-write-fetch-head",
            "--filter=blob:none",
            "origin",
            f"+{ref}:{_tracked(ref)}",
        )
        self.here(*words, seconds=FETCH_SECONDS)

    def has(self, commit: str) -> bool:
        """Whether what `head` has found was fetched. Asked of names alone: git would fetch an object that it lacks."""
        if commit not in self._found or not (self.git_dir / "HEAD").is_file():
            return False
        ref, named = self._found[commit]
        with suppress(GitRefused):
            return self.here("for-each-ref", "--format=%(objectname)", _tracked(ref))[1].strip() == named
        return False

    def descends(self, commit: str, of: str) -> bool:
        """Whether the one is among the ancestors of the other. What is not here any more is not."""
        if commit == of:
            return True
        with suppress(GitRefused):
            return self.here("merge-base", "--is-ancestor", of, commit, accepts=1)[0] == 0
        return False

    # -- trees

    def tree(self, commit: str) -> Path:
        """The files of a commit, whole. They are nobody's to change: the next run takes them as they are."""
        trees = self.folder / "trees"
        tree, whole = trees / commit, trees / f"{commit}.whole"
        if whole.is_file() and tree.is_dir():
            os.utime(whole)
            return tree
        with disk_problems(f"cannot write {trees}"):
            make_folder(trees)
            whole.unlink(missing_ok=True)
            shutil.rmtree(tree, ignore_errors=True)
        self.here("worktree", "prune", "--expire=now")
        self.here("worktree", "add", "-q", "--force", "--detach", str(tree), commit, seconds=FETCH_SECONDS)
        with disk_problems(f"cannot write {trees}"):
            whole.touch()
        return tree

    def has_tree(self, commit: str) -> bool:
        return (self.folder / "trees" / f"{commit}.whole").is_file()

    def sweep(self, *kept: str) -> None:
        """Remove all trees but the newest, and these."""
        marks = sorted((self.folder / "trees").glob("*.whole"), key=lambda mark: -mark.stat().st_mtime)
        for mark in marks[KEPT_TREES:]:
            if mark.stem not in kept:
                mark.unlink(missing_ok=True)
                shutil.rmtree(mark.with_suffix(""), ignore_errors=True)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """WorldError while another process follows a repository in this folder."""
        with disk_problems(f"cannot write {self.folder}"):
            make_folder(self.folder)
            lock = (self.folder / "lock").open("a+")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorldError(
                    f"another sagespec follows {self.git.url} in {self.folder}",
                    fix="end it first, or name another folder with --state-dir",
                ) from None
            for left in self.git_dir.rglob("*.lock"):  # by a git that was killed: nobody else is at work here
                left.unlink(missing_ok=True)
            yield


def _tracked(ref: str) -> str:
    """Its name here."""
    return ref if ref.startswith("refs/tags/") else _TRACKED
