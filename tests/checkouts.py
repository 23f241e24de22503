"""A real git repository to edit and commit in."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

WHO = ("-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Checkout:
    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Checkout:
        folder.mkdir(parents=True, exist_ok=True)
        checkout = cls(folder)
        checkout.git("init", "-q", "-b", "main")
        return checkout

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.folder), *WHO, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def commit(self) -> str:
        """All that is there; its hash."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a commit")
        return self.git("rev-parse", "HEAD")
