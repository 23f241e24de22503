"""What a plan changes, as the YAML of before and after: of a job its version before, of an endpoint what is live.

Values that may be secret are left out of both. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from sagespec.documents.emit import emit
from sagespec.spec.secrets import SecretUse
from sagespec.state.revision import EndpointRecord, VariantRecord
from sagespec.state.secrets import is_secret_field

HIDDEN = "•••"
_LEFT_OUT = ("apiVersion", "kind", "like")


@dataclass(frozen=True)
class Difference:
    """before: what it is compared with, for people; '' where there is nothing. lines: (add, del, at or '', text)."""

    about: str
    before: str
    lines: Sequence[tuple[str, str]]


def difference(about: str, before: str, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Difference:
    """old: None where nothing is known of it, so that all of the new one is shown."""
    was, now = (emit(document).splitlines() if document is not None else [] for document in (old, new))
    lines = [] if old is None else list(unified_diff(was, now, lineterm="", n=4))[2:]
    kinds = {"+": "add", "-": "del", "@": "at"}
    if old is None:
        return Difference(about, "", [("add", f"+{line}") for line in now])
    return Difference(about, before, [(kinds.get(line[:1], ""), line) for line in lines])


def job_document(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A job's spec as written, its secrets hidden."""
    return {name: _hidden(name, value) for name, value in spec.items() if name not in _LEFT_OUT}


def _hidden(path: str, value: Any) -> Any:
    if isinstance(value, Mapping) and value.keys() <= {"secret", "as"}:
        return value  # a secret by reference, of which this is no more than the name
    if isinstance(value, Mapping):
        return {name: _hidden(f"{path}.{name}", one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        text = " ".join(map(str, value))
        return [HIDDEN] if is_secret_field(path, text) else [_hidden(path, one) for one in value]
    return HIDDEN if value is not None and is_secret_field(path, str(value)) else value


def endpoint_document(record: EndpointRecord) -> dict[str, Any]:
    """What an endpoint asks for; of variables the names alone, since any value may be secret, and the names of those
    that are so by reference."""
    rollout = record.rollout.model_dump(mode="json")
    return {
        "variants": [_variant(variant) for variant in record.variants],
        **({"rollout": rollout} if rollout else {}),
        **({"protect": True} if record.protect else {}),
    }


def _variant(variant: VariantRecord) -> dict[str, Any]:
    resources = {"cpus": variant.cpus, "memory": variant.memory, "gpus": variant.gpus or None}
    values = {
        "name": variant.name,
        "model": variant.model.text,
        "weight": variant.weight,
        "instances": variant.instances,
        "program": str(variant.program),
        "accelerate": variant.accelerate,
        "resources": {name: value for name, value in resources.items() if value is not None},
        "environment": {name: _of_variable(value) for name, value in variant.environment.items()},
    }
    return {name: value for name, value in values.items() if value not in ({}, "", None)}


def _of_variable(value: str | SecretUse) -> Any:
    return value.as_json() if isinstance(value, SecretUse) else HIDDEN
