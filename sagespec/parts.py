"""The parts of an open project: settings, engine, store, gateway, cache, made when first needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sagespec.state.manifest import Git


def git_state(root: Path) -> Git | None:
    """Commit of the repository at `root`, and whether its tree has changes; None outside git or without a commit."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return Git(commit=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain", "--", ".")))
    except (OSError, subprocess.SubprocessError):
        return None
