"""Prints the parts of image.json that follow from the code.

python -m toolkit.describe linear_training:Hyperparameters linear_model:LinearModel
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from toolkit.hyperparameters import describe


def parts_of(declaration: type[Any]) -> dict[str, Any]:
    """Of a Model what it reads and writes, of other declarations the hyperparameters."""
    if hasattr(declaration, "reads"):
        return {"content_types": declaration.reads, "accepts": declaration.writes}
    return {"hyperparameters": describe(declaration), "ignored_hyperparameters": getattr(declaration, "IGNORED", {})}


if __name__ == "__main__":
    parts: dict[str, Any] = {}
    for target in sys.argv[1:]:
        module_name, _, class_name = target.partition(":")
        parts |= parts_of(getattr(importlib.import_module(module_name), class_name))
    print(json.dumps(parts, indent=2))
