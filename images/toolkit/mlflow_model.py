"""MLflow's description of a saved model, the file MLmodel, as far as it says which file holds the model.

It is YAML as MLflow writes it: nested by indentation, a plain or quoted value a line. What it uses beyond that (lists,
texts over several lines) is passed over, so that no image needs a YAML parser.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ClientError
from toolkit.packages import REQUIREMENTS, is_installed

FILE_NAME = "MLmodel"
EXAMPLE = "serving_input_example.json"  # a request, of which a model was logged with an example
LINE = re.compile(r"""( *)([\w.-]+):(?: +(?:'((?:[^']|'')*)'|"([^"\\]*)"|([^'"#\[{|>&*!%@`].*?)))? *""")


@dataclass(frozen=True)
class Description:
    """The flavors in which MLflow saved a model, each with its settings."""

    flavors: Mapping[str, Mapping[str, str]]

    def file(self, flavor: str, setting: str) -> str:
        """The model's file of a flavor, relative to the folder. Raises ClientError if MLflow saved no such model."""
        name = self.flavors.get(flavor, {}).get(setting)
        if not name:
            raise ClientError(
                f"{FILE_NAME} describes a model of {', '.join(self.flavors) or 'nothing'}, not of {flavor}"
            )
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ClientError(f"{FILE_NAME}: {flavor}.{setting} is {name}, outside the archive")
        return name


def read(folder: Path) -> Description | None:
    """What the MLmodel at the root of `folder` says, None without one."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    flavors = _nested(path.read_text(encoding="utf-8")).get("flavors")
    plain = {name: settings for name, settings in (flavors or {}).items() if isinstance(settings, dict)}
    return Description({name: {k: v for k, v in it.items() if isinstance(v, str)} for name, it in plain.items()})


def input_example(folder: Path) -> bytes:
    """A request that MLflow keeps with the model; b'' without one."""
    path = folder / EXAMPLE
    return path.read_bytes() if path.is_file() else b""


def needed(folder: Path, framework: str) -> list[str]:
    """What pip must install for the model in `folder`, as its requirements.txt has it, and no image brings: skops, or
    all of it where MLflow itself is to load the model (see `load_with_mlflow`)."""
    described = read(folder)
    if described is None or framework != "sklearn":
        return []
    listed = folder / REQUIREMENTS
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    if "sklearn" in described.flavors:
        if described.flavors["sklearn"].get("serialization_format") != "skops" or is_installed("skops"):
            return []
        return [line for line in lines if re.match(r"skops\b", line)][:1] or ["skops"]
    if is_installed("mlflow") or not any(re.match(r"mlflow(-skinny)?\b", line) for line in lines):
        return []
    return [line.partition(" #")[0].strip() for line in lines if line[:1].isalnum()]


def load_with_skops(path: Path) -> Any:
    """A model of scikit-learn as MLflow has saved it since 3.17. All types in it are trusted, as a script would be."""
    skops = importlib.import_module("skops.io")
    return skops.load(path, trusted=skops.get_untrusted_types(file=path))


def _nested(text: str) -> dict[str, Any]:
    """The mappings of a YAML text."""
    root: dict[str, Any] = {}
    open_mappings: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for line in text.splitlines():
        if not (found := LINE.fullmatch(line)):
            continue
        indent, name = len(found[1]), found[2]
        while open_mappings[-1][0] >= indent:
            open_mappings.pop()
        value = next((part for part in found.groups()[2:] if part is not None), None)
        inner: dict[str, Any] = {}
        open_mappings[-1][1][name] = inner if value is None else value.replace("''", "'")
        open_mappings.append((indent, inner))
    return root


def load_with_mlflow(folder: Path, described: Description) -> Any:
    """The model as MLflow's own Python function. Raises ClientError if the image has no mlflow."""
    try:
        pyfunc = importlib.import_module("mlflow.pyfunc")
    except ImportError as error:
        raise ClientError(
            f"{FILE_NAME} describes a model of {', '.join(described.flavors)}, which mlflow has to load: "
            "use the framework of one of these, or name mlflow in its requirements.txt"
        ) from error
    return pyfunc.load_model(str(folder.resolve()))  # which takes no link for its folder
