"""Writes the examples' data: scikit-learn's 1,797 handwritten digits as CSV, the digit, then 64 pixels from 0 to 1.

Nothing is downloaded. 1,500 rows are for training; the others are for validation and are given to no script.
"""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent / "data"
TRAINING_ROWS = 1500


def main() -> None:
    pixels, digits = load_digits(return_X_y=True)
    rows = [
        ",".join([str(digit), *(f"{value:g}" for value in row)]) + "\n"
        for digit, row in zip(digits.tolist(), (pixels / 16).tolist(), strict=True)
    ]
    for name, part in (("train", rows[:TRAINING_ROWS]), ("validation", rows[TRAINING_ROWS:])):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        (FOLDER / name / "digits.csv").write_text("".join(part))


if __name__ == "__main__":
    main()
