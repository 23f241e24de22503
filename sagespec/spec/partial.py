"""The JSON Schema of documents that are put over others: a job that is like another, the patches of an environment.

Each field may be left out, null takes it away, and a list of named things may be changed by a map of names, as `load`
merges them. Made from the definitions of whole documents; called by `schema`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from sagespec.spec.environment import NAMED_LISTS

Definitions = dict[str, Any]
_PATCHED = {"job": "TrainingJob", "endpoint": "Endpoint", "notebook": "Notebook", "model": "Model"}
_WHAT_IT_IS = ("apiVersion", "kind", "name", "version", "like")  # of a document: no patch changes it


def like_another(job: str, required: Collection[str], definitions: Definitions) -> Definitions:
    """What a job may say that is like another. required: fields that it never has from that."""
    return _partial(job, "Like", required, definitions)


def with_patches(definitions: Definitions) -> Definitions:
    """The same with what an environment may say of settings and specs."""
    found = dict(definitions)
    for name in (*_PATCHED.values(), "Project"):
        found |= _partial(name, "Patch", (), definitions)
        kept = ("name",) if name == "Project" else ()
        fields = found[f"{name}Patch"]["properties"]
        found[f"{name}Patch"]["properties"] = {
            field: said for field, said in fields.items() if field not in _WHAT_IT_IS or field in kept
        }
    environment = json.loads(json.dumps(found["Environment"]))
    fields = environment["properties"]
    by_address = {f"^{kind}/": {"$ref": f"#/$defs/{name}Patch"} for kind, name in _PATCHED.items()}
    fields["patches"] |= {"patternProperties": by_address, "additionalProperties": False}
    fields["project"] = {"$ref": "#/$defs/ProjectPatch", "description": fields["project"]["description"]}
    return found | {"Environment": environment}


def _partial(top: str, suffix: str, required: Collection[str], definitions: Definitions) -> Definitions:
    names = [top, *_within(top, definitions)]
    found: Definitions = json.loads(json.dumps({f"{name}{suffix}": definitions[name] for name in names}))
    for definition in found.values():
        own = required if definition is found[f"{top}{suffix}"] else ()
        for rule in ("oneOf", "if", "then", "else"):  # of whole documents
            definition.pop(rule, None)
        definition["required"] = list(own)
        for name, field in definition["properties"].items():
            if name in NAMED_LISTS and "items" in field and definition is found[f"{top}{suffix}"]:
                definition["properties"][name] = _by_name(field)
            elif name not in own:
                definition["properties"][name] = _or_null(field)
            if patterns := field.get("patternProperties"):
                field["patternProperties"] = {pattern: _or_null(value) for pattern, value in patterns.items()}
            if isinstance(values := field.get("additionalProperties"), dict):
                field["additionalProperties"] = _or_null(values)
    text = re.sub(rf'"#/\$defs/({"|".join(names)})"', rf'"#/$defs/\1{suffix}"', json.dumps(found))
    return dict(json.loads(text))


def _by_name(field: dict[str, Any]) -> dict[str, Any]:
    """The list itself, or a map that changes its entries by name."""
    changes = {"type": "object", "additionalProperties": _or_null(field["items"])}
    said = {"description": field["description"]} if "description" in field else {}
    return {"anyOf": [field, changes, {"type": "null"}], **said}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    said = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [schema, {"type": "null"}], **said}


def _within(name: str, definitions: Definitions) -> list[str]:
    """The definitions that one refers to, and theirs."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        inner = re.findall(r'"#/\$defs/(\w+)"', json.dumps(definitions[waiting.pop()]))
        waiting += [other for other in inner if other not in found]
        found |= dict.fromkeys(inner)
    return list(found)
