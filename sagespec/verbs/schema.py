"""The JSON Schema that `sagespec schema` and `sagespec init` write: that of the models, with the built-in programs.

Editors complete the names of algorithms, frameworks and hyperparameters from it. Of hyperparameters' values it only
tells; `load` checks them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sagespec.resolve.builtins import HyperparameterDescription, ImageDescription, describe_images
from sagespec.runtimes.choose import images_dir
from sagespec.spec.schema import json_schema


def schema_text() -> str:
    """As it is written to files."""
    return json.dumps(schema_for_editors(describe_images(images_dir())), indent=2, ensure_ascii=False) + "\n"


def schema_for_editors(builtins: Mapping[str, ImageDescription]) -> dict[str, Any]:
    schema = json_schema()
    algorithms = {name: image for name, image in builtins.items() if image.kind == "algorithm"}
    frameworks = {name: image for name, image in builtins.items() if image.runs_scripts}
    for definition in schema["$defs"].values():
        fields = definition.get("properties", {})
        for field, known in (("algorithm", algorithms), ("framework", frameworks)):
            if field in fields:
                fields[field] = {"enum": [*known, None], "description": fields[field]["description"]}
    schema["$defs"]["TrainingJob"]["allOf"] = [
        {
            "if": {"properties": {"algorithm": {"const": name}}, "required": ["algorithm"]},
            "then": {"properties": {"hyperparameters": _hyperparameters(image)}},
        }
        for name, image in algorithms.items()
        if image.hyperparameters
    ]
    return schema


def _hyperparameters(image: ImageDescription) -> dict[str, Any]:
    properties = {name: _hyperparameter(described) for name, described in image.hyperparameters.items()}
    required = [name for name, described in image.hyperparameters.items() if described.required]
    return {"properties": properties} | ({"required": required} if required else {})


def _hyperparameter(described: HyperparameterDescription) -> dict[str, Any]:
    """Any type is allowed: all of them become text."""
    value: dict[str, Any] = {"description": described.description}
    if described.default is not None:
        value["default"] = described.default
    if described.choices:
        value["examples"] = list(described.choices)
    return value
