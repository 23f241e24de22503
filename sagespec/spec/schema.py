"""The models of `spec` as a JSON Schema for editors and as the reference page docs/spec.md.

Called by `sagespec schema`; `verbs.schema` adds the built-in programs. Both are generated from the models alone, so
they say what `load` checks; rules between fields that JSON Schema cannot express are left to `load`.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeGuard

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import ModelSchema

from sagespec.spec import (
    approve,
    compare,
    document,
    doors,
    endpoint,
    environment,
    gate,
    job,
    notebook,
    project,
    report,
    retrain,
    rollout,
    source,
)
from sagespec.spec import model as registry
from sagespec.spec.document import API_VERSION, Update, update_class
from sagespec.spec.kinds import KINDS
from sagespec.spec.meanings import meanings_of
from sagespec.spec.partial import like_another, with_patches
from sagespec.spec.values import SpecModel, name_shown

# A source is no spec: it lies outside of the repository, in a file of its own.
DOCUMENTS = {**KINDS, "Source": source.Source}


class _ForEditors(GenerateJsonSchema):
    """Without the titles that pydantic makes from field names, which editors show anyway; with what fields mean."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        for field_name, meaning in meanings_of(schema["cls"]).items():
            described["properties"][field_name].setdefault("description", meaning)
        return described


def json_schema() -> dict[str, Any]:
    """One schema for every kind of document; editors apply it to each document of a file."""
    definitions = _definitions()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": API_VERSION,
        "description": "A sagespec document: a job, an endpoint, a notebook, a model, settings, a source, …",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "The format of this document."},
            "kind": {"enum": list(DOCUMENTS), "description": "What this document describes."},
        },
        # if/then instead of oneOf: an editor then says what is wrong with this kind of document,
        # not that it is none of three.
        "allOf": [
            _if_kind(kind, {"$ref": f"#/$defs/{kind}"} if kind != JOB else _JOB_OR_LIKE_ANOTHER) for kind in DOCUMENTS
        ],
        "$defs": with_patches(definitions) | like_another(JOB, _NEVER_LEFT_OUT, definitions),
    }


def _if_kind(kind: str, then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": then}


JOB = "TrainingJob"
_JOB_OR_LIKE_ANOTHER = {
    "if": {"properties": {"like": {"type": "string"}}, "required": ["like"]},
    "then": {"$ref": f"#/$defs/{JOB}Like"},
    "else": {"$ref": f"#/$defs/{JOB}"},
}
_NEVER_LEFT_OUT = ("apiVersion", "kind", "name", "version", "like")


def _definitions() -> dict[str, Any]:
    """Every model, as it is written out whole."""
    _, schema = models_json_schema(
        [(model, "validation") for model in DOCUMENTS.values()], schema_generator=_ForEditors
    )
    return _with_choices_in_place(_as_users_know_them(schema["$defs"]))


def _with_choices_in_place(definitions: dict[str, Any]) -> dict[str, Any]:
    """What is no model but one of several words is said where it is used."""
    choices = {f"#/$defs/{name}": one for name, one in definitions.items() if "enum" in one}

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            if (found := choices.get(value.get("$ref", ""))) is not None:
                return {"enum": found["enum"], **{name: said for name, said in value.items() if name != "$ref"}}
            return {name: placed(inner) for name, inner in value.items()}
        return [placed(inner) for inner in value] if isinstance(value, list) else value

    return {name: placed(one) for name, one in definitions.items() if f"#/$defs/{name}" not in choices}


def _as_users_know_them(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions under the names that documents use; pydantic uses our class names."""
    text = json.dumps(definitions)
    for model in _models().values():
        text = re.sub(rf'"(#/\$defs/)?{model.__name__}"', rf'"\g<1>{name_shown(model)}"', text)
    renamed: dict[str, Any] = json.loads(text)
    return renamed


# -- reference -------------------------------------------------------------------------------------

EXAMPLES = {
    "TrainingJob": """\
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 3
algorithm: xgboost
hyperparameters: {objective: "binary:logistic", num_round: 100, eta: 0.1}
channels:
  train: {source: s3://acme/churn/train/, content_type: text/csv, distribution: sharded}
  validation: s3://acme/churn/validation.csv    # a plain string is short for {source: …}
instances: 2
resources: {cpus: 1, memory: 2GiB}
checkpoints: true
stopping: {max_runtime: 1h}
""",
    "Endpoint": """\
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {name: stable, model: churn@2, weight: 90, instances: 2}
  - {name: candidate, model: churn@3, weight: 10}
rollout: {healthy_within: 2m, min_healthy: 10s}
""",
    "Notebook": """\
apiVersion: sagespec/v1
kind: Notebook
name: work
idle: 2h
packages: ["pandas>=2", matplotlib]
resources: {cpus: 2, memory: 4GiB}
""",
    "Model": """\
apiVersion: sagespec/v1
kind: Model
name: churn
aliases: {champion: 3, challenger: 4}
rejected: {churn@2: leaks the label}
protect: [1]
""",
    "Project": """\
apiVersion: sagespec/v1
kind: Project
name: acme-churn
store: s3://acme-models/sagespec
runtime: docker
gateway: {port: 8080}
""",
    "Environment": """\
apiVersion: sagespec/v1
kind: Environment
name: prod
project: {store: s3://acme-prod/sagespec, gateway: {port: 8090}}
models_from: staging
jobs: never
patches:
  endpoint/churn:
    variants:
      stable: {instances: 4, environment: {LOG: warn}}
      candidate: {weight: 20}
    rollout: {min_healthy: null}
leave_out: [endpoint/experiment]
""",
    "Source": """\
apiVersion: sagespec/v1
kind: Source
name: churn-prod
url: https://github.com/acme/models.git
branch: main
environment: prod
verify: {signers: /etc/sagespec/allowed_signers}
credentials: {secret: git-token}
approve: {ask: [replace, remove, train]}
allow: {paths: [/data/churn], images: ["ghcr.io/acme/*"]}
pin: {name: churn-prod, store: "s3://acme-prod/sagespec", runtime: docker}
secrets: {git-token: "file:/run/keys/git"}
""",
}

_INTRODUCTION = f"""\
# Specs

<!-- Generated by `sagespec schema --docs` from the models in sagespec/spec: edit those, not this page. -->

A spec is a YAML document in a `*.yaml` or `*.yml` file under `specs/`. A file may hold several, separated
by `---`. The project's own settings are a document too: `sagespec.yaml` at its root; a [source](#source) is one that
lies outside of the repository that it names. Every document starts
with `apiVersion: {API_VERSION}` and its `kind`. A field that is not listed here is an error.

Editors complete and check specs if you point them to the schema that `sagespec schema` prints:

```yaml
# yaml-language-server: $schema=../sagespec.schema.json
```

## Values

- **text**: quote it if YAML would read it as something else (`"1.10"`, `"true"`). Words and numbers that
  YAML versions read differently (`no`, `on`, `010`, `1:30`, `2024-01-01`) must be quoted or written another
  way. Tags and merge keys (`<<`) are not allowed; anchors and aliases work.
- **name**: 1 to 63 letters and digits, with hyphens inside. Names that differ only in case clash.
- **duration**: a number with a unit, `250ms`, `30s`, `10m`, `1.5h`, `2d`; without a unit, seconds. At most 28d.
- **size**: a number with a unit, `512MiB`, `2GiB`, `1.5GB`; without a unit, bytes. At least 6MiB.
- **source**: a file or folder, relative to the spec's file; `file:///…`; or `s3://bucket/prefix`.
- **model**: `job@version`, `job@alias`, or the source of a `model.tar.gz`.

## What a change does

A training job's version is immutable once it has been trained. To change its algorithm, script, image, the content
of its build folder, hyperparameters, channels, environment or number of instances, raise `version`. `resources`,
`metrics`, `checkpoints`, `stopping`, `retries` and `protect` may change at any time, and so may whether data is
copied or mounted.

For endpoints, the *change* column says what changing a field does to what is running:

- **route**: only the gateway changes; no container is touched.
- **scale**: containers are added or removed; none is replaced.
- **replace**: new containers start, and take over once they are healthy.
- **none**: nothing running changes; the new value applies from the next change on.
"""


def reference() -> str:
    """docs/spec.md: every kind with an example, every field with type, default, update class and meaning."""
    definitions = _definitions()
    parts = [_INTRODUCTION]
    for name in _in_reading_order(definitions):
        heading = f"## {name}" if name in DOCUMENTS else f"### {name}"
        example = f"```yaml\n{EXAMPLES[name]}```\n\n" if name in EXAMPLES else ""
        parts.append(f"{heading}\n\n{definitions[name]['description']}\n\n{example}{_table(name, definitions[name])}")
    return "\n".join(parts)


def _in_reading_order(definitions: dict[str, Any]) -> list[str]:
    """Every kind, each followed by the models that it is the first to use."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        order[name] = None
        used = dict.fromkeys(re.findall(r'"#/\$defs/(\w+)"', json.dumps(definitions[name]["properties"])))
        for other in used:
            if other not in order:
                add(other)

    for kind in DOCUMENTS:
        add(kind)
    return list(order)


def _models() -> dict[str, type[SpecModel]]:
    """Every model of the documents, by the name that the schema gives it."""
    of_endpoints = (endpoint, compare, rollout, gate)
    modules = (
        document,
        job,
        retrain,
        *of_endpoints,
        notebook,
        registry,
        project,
        doors,
        environment,
        source,
        approve,
        report,
    )
    return {name_shown(thing): thing for module in modules for thing in vars(module).values() if _is_model(thing)}


def _is_model(thing: object) -> TypeGuard[type[SpecModel]]:
    return isinstance(thing, type) and issubclass(thing, SpecModel)


def _table(name: str, definition: dict[str, Any]) -> str:
    model = _models()[name]
    has_updates = _declares_updates(model)
    rows = [["field", "type", "default", *(["change"] if has_updates else []), "meaning"]]
    rows.append(["---"] * len(rows[0]))
    for field_name, field in definition["properties"].items():
        if field_name in ("apiVersion", "kind"):
            continue
        default = "**required**" if field_name in definition.get("required", ()) else _default(field)
        type_text = _type(field)
        inner = re.search(r"\[(\w+)\]", type_text)
        update = "see below" if inner and _declares_updates(_models()[inner[1]]) else update_class(model, field_name)
        meaning = " ".join(field["description"].split())  # a row of Markdown is one line
        cells = [f"`{field_name}`", type_text, default, *([str(update)] if has_updates else []), meaning]
        rows.append(cells)
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _declares_updates(model: type[SpecModel]) -> bool:
    return any(isinstance(mark, Update) for field in model.model_fields.values() for mark in field.metadata)


def _type(schema: dict[str, Any]) -> str:
    """What a field accepts, in words, from its JSON Schema."""
    match schema:
        case {"anyOf": choices}:
            return " or ".join(_type(choice) for choice in choices if choice != {"type": "null"})
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"title": title}:
            return str(title)
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            return f"list of {_range(schema, 'minItems', 'maxItems')} {_type(items)}"
        case {"type": "object"}:
            values = next(iter(schema.get("patternProperties", {}).values()), {})
            names = _range(schema, "minProperties", "maxProperties")
            return f"map of {names} names to {_type(values) if values else 'plain data'}"
        case {"type": "string", "maxLength": _}:
            return f"text of {_range(schema, 'minLength', 'maxLength')} characters"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "integer"}:
            return f"whole number, {_range(schema, 'minimum', 'maximum')}"
        case {"type": "number"}:
            if "exclusiveMinimum" in schema:
                return f"number, above {schema['exclusiveMinimum']:g}, up to {schema['maximum']:g}"
            return f"number, {_range(schema, 'minimum', 'maximum')}"
    return "text"


def _range(schema: dict[str, Any], least: str, most: str) -> str:
    low, high = schema.get(least, 0), schema.get(most)
    if high is None or high >= 2**53 - 1:
        return f"{low:,.15g} or more"
    return f"{low:,.15g} to {high:,.15g}" if low else f"up to {high:,.15g}"


def _default(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": _} | {"default": {}} | {"default": None}:
            return ""
        case {"title": "duration", "default": seconds}:
            return f"`{_duration(seconds)}`"
        case {"title": "size", "default": size}:
            return f"`{_size(size)}`"
        case {"default": bool(value)}:
            return f"`{str(value).lower()}`"
        case {"default": int(value) | float(value)}:
            return f"`{value:g}`"
        case {"default": value}:
            return f"`{value}`"
    return ""


def _duration(seconds: float) -> str:
    """As a person writes it: the largest unit that leaves a whole number."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    unit, size = next(((unit, size) for unit, size in units.items() if not seconds % size), ("s", 1))
    return f"{seconds / size:g}{unit}"


def _size(size: int) -> str:
    """As a person writes it: the largest unit that leaves a whole number."""
    units = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
    unit, bytes_of_unit = next(((unit, of_unit) for unit, of_unit in units.items() if not size % of_unit), ("", 1))
    return f"{size // bytes_of_unit}{unit}"
