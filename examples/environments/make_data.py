"""Writes data/train.csv and data/validation.csv: customers, made up. The first column says who has left."""

from __future__ import annotations

import random
from pathlib import Path

FOLDER = Path(__file__).parent / "data"


def rows(count: int, chance: random.Random) -> list[str]:
    """Left or not; then months as a customer, calls to support, monthly bill, and whether the contract is yearly."""
    found = []
    for _ in range(count):
        months, calls = chance.randint(1, 72), chance.randint(0, 9)
        bill, is_yearly = round(chance.uniform(20, 120), 1), chance.randint(0, 1)
        score = 0.5 * calls + 0.02 * bill - 0.05 * months - 1.5 * is_yearly
        found.append(f"{int(score + chance.gauss(0, 1) > 0)},{months},{calls},{bill},{is_yearly}\n")
    return found


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    chance = random.Random(7)  # noqa: S311 (made-up data)
    for name, count in (("train", 2000), ("validation", 500)):
        (FOLDER / f"{name}.csv").write_text("".join(rows(count, chance)))


if __name__ == "__main__":
    main()
