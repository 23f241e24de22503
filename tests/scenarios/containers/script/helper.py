from __future__ import annotations

from pathlib import Path


def mean_of(folder: Path) -> float:
    numbers = [float(line) for file in sorted(folder.iterdir()) for line in file.read_text().split()]
    return sum(numbers) / len(numbers)
