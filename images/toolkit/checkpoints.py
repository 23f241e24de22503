"""Checkpoints of a job: numbered files in the folder that checkpointconfig.json names, if the platform wrote one.

The platform fills the folder before the start and keeps what is in it. Files are named as the hosted XGBoost names
them, `<prefix>.<number>` from 0, and the last five are kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KEPT = 5
SHARE = 0.1  # the most of the training time that is spent on writing


@dataclass
class Checkpoints:
    """The checkpoints in `folder`; None: the job keeps none."""

    folder: Path | None
    prefix: str
    _next_at: float = 0.0

    def numbers(self) -> list[int]:
        """The numbers of the checkpoints in the folder, in ascending order."""
        if self.folder is None or not self.folder.is_dir():
            return []
        pattern = re.compile(re.escape(self.prefix) + r"\.(\d+)")
        return sorted(int(match[1]) for file in self.folder.iterdir() if (match := pattern.fullmatch(file.name)))

    def latest(self) -> tuple[int, Path] | None:
        """The number and the file of the last checkpoint."""
        numbers = self.numbers()
        return (numbers[-1], self._file(numbers[-1])) if numbers else None

    def save(self, number: int, content: Callable[[], bytes]) -> None:
        """Write a checkpoint, all of it or nothing; skip it if writing has taken more than `SHARE` of the time."""
        begun = time.monotonic()
        if self.folder is None or begun < self._next_at:
            return
        temporary = self.folder / f".{self.prefix}"
        temporary.write_bytes(content())
        temporary.replace(self._file(number))
        for old in self.numbers()[:-KEPT]:
            self._file(old).unlink(missing_ok=True)
        ended = time.monotonic()
        self._next_at = ended + (ended - begun) / SHARE

    def _file(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{self.prefix}.{number}"
