"""Prints the parts of image.json that follow from a declaration: python -m toolkit.describe module:Class."""

from __future__ import annotations

import importlib
import json
import sys

from toolkit.hyperparameters import describe

if __name__ == "__main__":
    module_name, _, class_name = sys.argv[1].partition(":")
    declaration = getattr(importlib.import_module(module_name), class_name)
    parts = {"hyperparameters": describe(declaration), "ignored_hyperparameters": getattr(declaration, "IGNORED", {})}
    print(json.dumps(parts, indent=2))
