"""Writes the examples' data: scikit-learn's breast cancer set as CSV, split for training and validation.

Nothing is downloaded. Existing files with the right content are left alone, so that a second run touches nothing.
"""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

FOLDER = Path(__file__).parent / "data" / "tumor"


def lines(rows: list[list[float]]) -> str:
    """Rows as CSV without a header, as SageMaker's algorithms read it."""
    return "".join(",".join(f"{value:.10g}" for value in row) + "\n" for row in rows)


def write(name: str, text: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / name
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def main() -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    train, validation, train_labels, validation_labels = train_test_split(
        features, labels, test_size=0.25, random_state=0, stratify=labels
    )
    for name, rows, row_labels in (
        ("train.csv", train, train_labels),
        ("validation.csv", validation, validation_labels),
    ):
        write(name, lines([[label, *row] for label, row in zip(row_labels, rows.tolist(), strict=True)]))
    write("sample.csv", lines(validation[:5].tolist()))


if __name__ == "__main__":
    main()
