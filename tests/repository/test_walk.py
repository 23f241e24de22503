"""A short walk through what may happen to a branch, with git itself, real keys and a mirror on the disk.

tests/test_pull.py has the long one, in memory.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from sagespec.repository.commands import GitCommand
from sagespec.repository.mirror import Follow, Mirror
from sagespec.repository.signatures import Signers
from sagespec.state.remote import Remote, Signed
from tests.branches import Branch, Commit, Copied, Walk
from tests.fakes import Faults
from tests.repositories import Origin, Person
from tests.test_histories import new_place
from tests.test_pull import prepared


class GitBranch(Branch):
    """The same, of a repository on the disk. What is pushed is there when it is looked at."""

    def __init__(self, origin: Origin, ada: Person, signers: Path) -> None:
        self.origin, self.ada, self.signers_file = origin, ada, signers
        super().__init__()
        self._tree = origin.git("mktree").strip()

    def id_of(self, commit: Commit, number: int) -> str:
        parents = ["-p", commit.parent.id] if commit.parent else []
        signing = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.ada.key}"] if commit.is_signed else []
        sign = ["-S"] if commit.is_signed else []
        return self.origin.git(*signing, "commit-tree", *sign, *parents, "-m", str(number), self._tree).strip()

    def copy(self, folder: Path, faults: Faults) -> Copied:
        mirror = Mirror(GitCommand(self.origin.url), folder, Follow())
        return GitCopy(mirror, Signers(self.signers_file), self)

    def publish(self) -> None:
        """Let the repository be as the branch is said to be."""
        away = self.origin.bare.with_name("away.git")
        there = away if away.exists() else self.origin.bare
        if self.head:
            self.origin.git("push", "-q", "--force", str(there), f"{self.head.id}:refs/heads/main")
        else:
            subprocess.run(["git", "-C", str(there), "update-ref", "-d", "refs/heads/main"], check=True)
        wanted = away if self.is_away else self.origin.bare
        if there != wanted:
            there.rename(wanted)


@dataclass
class GitCopy:
    mirror: Mirror
    signers: Signers
    branch: GitBranch

    def head(self) -> Remote:
        self.branch.publish()
        return self.mirror.head()

    def fetch(self, commit: str) -> None:
        self.mirror.fetch(commit)

    def descends(self, commit: str, of: str) -> bool:
        return self.mirror.descends(commit, of)

    def tree(self, commit: str) -> Path:
        return self.mirror.tree(commit)

    def has_tree(self, commit: str) -> bool:
        return self.mirror.has_tree(commit)

    def sweep(self, *kept: str) -> None:
        self.mirror.sweep(*kept)

    def fingerprint(self) -> str:
        return self.signers.fingerprint()

    def signed(self, commit: str, *, since: str, tag: str) -> Signed:
        return self.signers.signed(self.mirror.here, commit, since=since, tag=tag)


def test_a_walk_with_git_itself_ends_at_the_head_or_says_why_not(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "there")
    ada = origin.person("ada@acme.example")
    signers = tmp_path / "signers"
    signers.write_text(ada.line())
    with new_place() as place:
        walk = Walk(prepared(place), 7, GitBranch(origin, ada, signers))
        for _ in range(70):
            walk.step()
            walk.check()
        walk.finish()
        assert len(walk.branch.commits) > 10
