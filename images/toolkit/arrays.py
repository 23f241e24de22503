"""A model's numbers in one numpy file, without pickle."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np


def save(path: Path, **values: Any) -> None:
    """Write arrays and plain values (numbers, strings, booleans) by name."""
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items()}
    np.savez(path, **arrays)


def save_fields(path: Path, value: Any) -> None:
    """Write the fields of a dataclass."""
    save(path, **{part.name: getattr(value, part.name) for part in fields(value)})


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote, by name: arrays, and plain values where there is no dimension."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: array if array.ndim else array.item() for name, array in arrays.items()}
