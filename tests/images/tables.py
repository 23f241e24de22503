"""Data as the images' tests write it, and the metrics they find in what training printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = Path(__file__).parents[2] / "images"


def as_csv(features: Any, labels: Any = None) -> str:
    columns = features if labels is None else np.column_stack([labels, features])
    return "\n".join(",".join(map(repr, row)) for row in columns.tolist())


def halves(text: str) -> tuple[str, str]:
    """The first and the second half of the lines."""
    lines = text.splitlines()
    middle = len(lines) // 2
    return "\n".join(lines[:middle]), "\n".join(lines[middle:])


def metrics_in(image: str, printed: str) -> dict[str, float]:
    """The last value of each metric, found with the regexes of image.json."""
    declared = json.loads((IMAGES / image / "image.json").read_text())["metrics"]
    found = {metric["name"]: re.findall(metric["regex"], printed) for metric in declared}
    return {name: float(values[-1]) for name, values in found.items() if values}
