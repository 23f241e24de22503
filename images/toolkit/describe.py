"""Prints the parts of image.json that follow from the code.

python -m toolkit.describe linear_training:Hyperparameters linear_model:LinearModel
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from toolkit.hyperparameters import Declaration, describe
from toolkit.model import Model


def parts_of(described: type[Model | Declaration]) -> dict[str, Any]:
    """What a Model reads and writes, or the hyperparameters of a Declaration."""
    if issubclass(described, Model):
        return {"content_types": described.reads, "accepts": described.writes}
    return {"hyperparameters": describe(described), "ignored_hyperparameters": described.IGNORED}


if __name__ == "__main__":
    parts: dict[str, Any] = {}
    for target in sys.argv[1:]:
        module_name, _, class_name = target.partition(":")
        parts |= parts_of(getattr(importlib.import_module(module_name), class_name))
    print(json.dumps(parts, indent=2))
