"""What git says of the files between two commits: for people who compare two versions of a job."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from pathlib import Path

from sagespec.sources.git import run_git

MOST_LETTERS = 200_000  # of a difference: more is nobody's to read


def difference_of(root: Path, commits: tuple[str, str], files: Collection[str]) -> str | None:
    """The difference of those files below `root` whose paths end in one of `files`, as `git diff` has it. None where
    git does not have the commits here."""
    try:
        named = run_git(root, "diff", "--relative", "--name-only", "-z", *commits, "--", ".").split("\0")
        paths = sorted(path for path in named if path and any(_is(path, file) for file in files))
        if not paths:
            return ""
        literal = [f":(literal){path}" for path in paths]
        found = run_git(root, "diff", "--relative", "--no-color", "--no-ext-diff", *commits, "--", *literal)
    except (OSError, subprocess.SubprocessError):
        return None
    return found if len(found) <= MOST_LETTERS else f"{found[:MOST_LETTERS]}\n… and more: git diff {' '.join(commits)}"


def _is(path: str, file: str) -> bool:
    """file: relative to a folder that is not known; one that ends in a slash stands for all in it."""
    return f"/{file}" in f"/{path}" if file.endswith("/") else f"/{path}".endswith(f"/{file}")
