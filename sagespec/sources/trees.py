"""Two states of a repository side by side: its files at a commit, and as they are now.

Both hold what git knows of, and files that are new and not ignored; what is ignored is in neither, so that data made on
one machine differ from nothing. What is equal in both is one file with two names: a large repository is not copied.
Nothing is written into the repository, not even to its index.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.own_git import git

SECONDS = 120.0
STATE = ".sagespec"


@dataclass(frozen=True)
class Trees:
    """before, now: folders that stand for the repository's own, at the commit and as it is. top: that folder."""

    commit: str
    top: Path
    before: Path
    now: Path

    def at(self, path: Path, tree: Path) -> Path:
        """Where a path of the repository is in a tree; one outside of it is the same for both."""
        path = path.resolve()
        return tree / path.relative_to(self.top) if path.is_relative_to(self.top) else path


def two_trees(root: Path, ref: str, folder: Path) -> Trees:
    """Fills `folder` with both. WorldError where there is no repository, or no such commit in it."""
    asked = _Git(root, folder / "index")
    top = Path(asked.line("rev-parse", "--show-toplevel")).resolve()
    commit = _commit(asked, ref)
    before, now = folder / "before", folder / "now"
    _fill(_Git(top, folder / "index"), commit, before, now)
    return Trees(commit, top, before, now)


def _fill(asked: _Git, commit: str, before: Path, now: Path) -> None:
    """With a repository at its top, and the submodules of it that are checked out."""
    top = asked.folder
    known = _paths(asked.run("ls-files", "-z", "--cached", "--others", "--exclude-standard"))
    here = [path for path in known if STATE not in path.parts and os.path.lexists(top / path)]
    changed = set(_paths(asked.run("diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", commit, "--")))
    new = set(_paths(asked.run("ls-files", "-z", "--others", "--exclude-standard")))
    for tree in (before, now):
        tree.mkdir(parents=True, exist_ok=True)
    _link(here, top, now)
    _link([path for path in here if path not in changed and path not in new], top, before)
    asked.run("read-tree", commit, own_index=True)
    there = set(_paths(asked.run("ls-files", "-z", own_index=True)))
    submodules = _submodules(asked)
    written = "".join(f"{path}\0" for path in sorted((changed & there) - submodules.keys()))
    asked.run("checkout-index", "-z", "--stdin", f"--prefix={before}/", own_index=True, given=written)
    for number, (path, at) in enumerate(submodules.items()):
        inner = _Git(top / path, asked.index.with_name(f"{asked.index.name}-{number}"))
        if (inner.folder / ".git").exists():
            _fill(inner, _commit(inner, at), before / path, now / path)


def _submodules(asked: _Git) -> dict[Path, str]:
    """Of the commit that its index holds: where each is, and its commit."""
    found: dict[Path, str] = {}
    for entry in asked.run("ls-files", "-z", "--stage", own_index=True).split("\0"):
        words, _, path = entry.partition("\t")
        if words.startswith("160000 "):
            found[Path(path)] = words.split(" ")[1]
    return found


def _commit(asked: _Git, ref: str) -> str:
    try:
        return asked.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except WorldError:
        raise WorldError(
            f"git knows no commit {ref}",
            why="a shallow clone has the newest commits alone",
            fix="fetch it: `git fetch origin BRANCH`, or `fetch-depth: 2` of actions/checkout for HEAD^1",
        ) from None


def _paths(listed: str) -> list[Path]:
    return [Path(name) for name in listed.split("\0") if name]


def _link(paths: Iterable[Path], top: Path, tree: Path) -> None:
    made: set[Path] = set()
    for path in paths:
        source, target = top / path, tree / path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        with suppress(FileNotFoundError):  # deleted just now
            if source.is_symlink():
                target.symlink_to(source.readlink())
            elif source.is_file():  # and no submodule
                _second_name(source, target)


def _second_name(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or somebody else's file
        shutil.copy2(source, target)


@dataclass(frozen=True)
class _Git:
    """index: of our own, where that of the repository must not be touched."""

    folder: Path
    index: Path

    def line(self, *words: str) -> str:
        return self.run(*words).strip()

    def run(self, *words: str, own_index: bool = False, given: str = "") -> str:
        index = {"GIT_INDEX_FILE": str(self.index)} if own_index else {}
        return git(self.folder, *words, seconds=SECONDS, more={"GIT_OPTIONAL_LOCKS": "0", **index}, given=given)
