"""The programs local processes run: folders of images/, or a user's own."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from sagespec.errors import WorldError

MODULES = (
    "numpy",
    "scipy",
    "sklearn",
    "xgboost",
    "lightgbm",
    "fasttext",
    "pyarrow",
    "flask",
    "granian",
    "orjson",
    "envoy",
)


WORDS = ("serve", "train")  # a built-in has one of these programs, or both


NEEDS_DOCKER = "start Docker (or point DOCKER_HOST at one) and run with --runtime docker, or use a built-in algorithm"


def check_packages(folder: Path) -> None:
    """WorldError when the built-in in `folder` needs packages that this Python does not have."""
    description = folder / "image.json"
    requires = json.loads(description.read_bytes()).get("requires", {}) if description.is_file() else {}
    missing = [module for module in requires.get("modules", ()) if importlib.util.find_spec(module) is None]
    if missing:
        install = f"pip install 'sagespec[{requires['extra']}]', or " if requires["extra"] else ""
        raise WorldError(
            f"{folder.name} needs {', '.join(missing)}, which {sys.executable} does not have",
            why="the process runtime runs programs with the packages of this Python",
            fix=f"{install}run with --runtime docker",
        )
