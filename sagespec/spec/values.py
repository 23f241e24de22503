"""The values in the fields of specs: names, durations, sizes, places, plain data; and what all models share.

`spec` builds its models from these. Each checks what YAML gave and says what would be valid; each has its own
form in the JSON Schema.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

# SageMaker's own limit on names of jobs, models, endpoints and variants (CreateTrainingJob, CreateEndpointConfig).
NAME_PATTERN = r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"
NAME_REGEX = re.compile(NAME_PATTERN)


def name_shown(model: type[SpecModel]) -> str:
    """What users know a model by: Gateway for GatewaySettings, Build for BuildSpec."""
    return model.__name__.removesuffix("Settings").removesuffix("Spec")


def wrong(what: str, fix: str = "", at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A validation error whose text `load` shows unchanged, with `fix` as what to do about it.

    `{written}` in `fix` stands for the value as the file has it. `at` is the place inside the
    validated value, e.g. ("variants", 1, "name") in an Endpoint.
    """
    return PydanticCustomError("sagespec", "{what}", {"what": what, "fix": fix, "at": at})


def cut(text: str) -> str:
    """`text`, shortened if it is too long for a message."""
    return text if len(text) <= 60 else text[:57] + "…"


def quoted(value: object) -> str:
    """`value` in double quotes, shortened if it is too long for a message."""
    return json.dumps(cut(str(value)), ensure_ascii=False)


NAME_HELP = "use 1 to 63 letters and digits, with hyphens inside, e.g. churn-eu"


def is_name(text: str) -> bool:
    return len(text) <= 63 and NAME_REGEX.fullmatch(text) is not None


def _check_name(value: Any) -> Any:
    if isinstance(value, bool):
        raise wrong(f"{str(value).lower()} is not a name", f'quote it: "{str(value).lower()}"')
    if isinstance(value, int):
        raise wrong(f"{value} is a number, not a name", f'quote it: "{abs(value)}"')
    if isinstance(value, str) and not is_name(value):
        raise wrong(f"{quoted(value)} is not a name", NAME_HELP)
    return value


Name = Annotated[
    str,
    BeforeValidator(_check_name),
    WithJsonSchema({"title": "name", "type": "string", "pattern": NAME_PATTERN, "maxLength": 63}),
]

_DURATION = re.compile(r"^(\d{1,12}(?:\.\d{1,12})?)(ms|s|m|h|d)\Z", re.ASCII)
LONGEST_DURATION = 28 * 86400.0  # SageMaker's limit on a job's run time
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: Any) -> float:
    """Seconds from `90`, `90s`, `1.5h`, `2m`, `1d`, `250ms`.

    >>> parse_duration("1.5h")
    5400.0
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if isinstance(value, bool) or not (match or isinstance(value, int | float)):
        raise wrong(f"{quoted(value)} is not a duration", "write a number with a unit: 30s, 10m, 1h, 2d")
    seconds = float(match[1]) * _DURATION_SECONDS[match[2]] if match else value
    if not 0 <= seconds <= LONGEST_DURATION:
        raise wrong(f"{quoted(value)} is out of range", "a duration is between 0s and 28d")
    return float(seconds)


_SIZE = re.compile(r"^(\d{1,18}(?:\.\d{1,12})?) ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?\Z", re.ASCII)
SMALLEST_MEMORY = 6 * 2**20  # Docker refuses less
LARGEST_MEMORY = 64 * 2**40
_SIZE_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def parse_size(value: Any) -> int:
    """Bytes from `512MiB`, `2GiB`, `1.5GB`, `1048576`.

    >>> parse_size("2GiB")
    2147483648
    """
    match = _SIZE.match(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if not match:
        raise wrong(f"{quoted(value)} is not a size", "write a number with a unit: 512MiB, 2GiB")
    return int(float(match[1]) * _SIZE_BYTES[match[2] or "B"])


def written_size(size: int) -> str:
    """A size as one writes it in a spec.

    >>> written_size(2**30), written_size(900 * 2**20), written_size(1000)
    ('1GiB', '900MiB', '1000B')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def in_flow(value: Any) -> str:
    """Plain data in YAML's one-line form.

    >>> in_flow({"drop": ["id", "day"], "header": True, "weight": 0.5})
    '{drop: [id, day], header: true, weight: 0.5}'
    """
    match value:
        case Mapping():
            return "{" + ", ".join(f"{key}: {in_flow(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(in_flow, value))}]"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return str(value)


def _enough_memory(value: int) -> int:
    if not SMALLEST_MEMORY <= value <= LARGEST_MEMORY:
        raise wrong(
            f"{value} bytes is too {'little' if value < SMALLEST_MEMORY else 'much'} for a container",
            "give between 6MiB and 64TiB, with the unit: memory: 2GiB",
        )
    return value


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "title": "duration",
            "type": ["string", "number"],
            "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$",
            "minimum": 0,
            "maximum": LONGEST_DURATION,
            "examples": ["30s", "10m", "1h"],
        }
    ),
]
Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    AfterValidator(_enough_memory),
    WithJsonSchema(
        {
            "title": "size",
            "type": ["string", "integer"],
            "pattern": r"^\d{1,18}(\.\d{1,12})? ?(B|[KMGT]i?B)?$",
            "minimum": SMALLEST_MEMORY,
            "maximum": LARGEST_MEMORY,
            "examples": ["512MiB", "2GiB"],
        }
    ),
]


# ${NAME}, ${{ … }}, or $NAME as a whole value, the first step of a path, or a bucket. Further down, a folder may be
# called so.
_VARIABLE = re.compile(r"(?<!\$)\$\{\{?[^{}]*\}?\}|(?:^|(?<=://))\$[A-Z_][A-Z0-9_]*(?=/|$)")

_DOUBLED = re.compile(r"\$\$(?=\{)|(?:^|(?<=/))\$\$(?=[A-Z_][A-Z0-9_]*(?:/|$))")


def as_written(value: str) -> str:
    """`value`, of which no part stands for a variable: nothing is filled in. Two dollar signs there stand for one.

    >>> as_written("Summarise $${text} for 5 $"), as_written("$$HOME")
    ('Summarise ${text} for 5 $', '$HOME')
    """
    if found := _VARIABLE.search(value):
        raise wrong(
            f"holds {cut(found[0])}, and nothing is filled in for it",
            "write the value itself, or let the program read it from a channel; "
            f"for this very text double the $: {cut('$' + found[0])}",
        )
    return _DOUBLED.sub("$", value)


def _all_as_written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _all_as_written(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_all_as_written(item) for item in value]
    return as_written(value) if isinstance(value, str) else value


def _is_plain(value: Any) -> bool:
    """Whether `value` is what JSON can hold: hashes and manifests are made from it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def _hyperparameter(value: Any) -> Any:
    if not _is_plain(value):
        raise wrong(
            f"{quoted(value)} ({type(value).__name__}) is not a hyperparameter",
            "use text, a finite number, true, false, a list or a map",
        )
    if len(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) > 2500:
        raise wrong("is longer than 2500 characters", "put it in a file and pass that as a channel")
    return _all_as_written(_without_nul(value))


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        raise wrong("is a number, but text is expected: as numbers, 1.10 and 1.1 are the same", "quote it: {written}")
    value = _without_nul(str(value) if isinstance(value, int) else value)
    return as_written(value) if isinstance(value, str) else value


def _without_nul(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise wrong("contains a NUL character, which an environment variable cannot", "remove the \\0")
    return value


def _check_environment_name(value: str) -> str:
    if not re.fullmatch(_ENVIRONMENT_NAME, value):
        raise wrong(
            f"{quoted(value)} is not the name of an environment variable",
            "use letters, digits and _, not starting with a digit",
        )
    return value


def _check_channel_name(value: str) -> str:
    if not re.fullmatch(_CHANNEL_NAME, value):
        raise wrong(f"{quoted(value)} is not a channel name", "use letters, digits, dots, hyphens and underscores")
    return value


_ENVIRONMENT_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_CHANNEL_NAME = r"(?!\.{1,2}$)[A-Za-z0-9._-]+"  # a folder's name, so neither . nor ..

Hyperparameter = Annotated[Any, BeforeValidator(_hyperparameter)]
HyperparameterName = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "integer", "boolean"]})]
EnvironmentName = Annotated[
    str,
    AfterValidator(_check_environment_name),
    StringConstraints(max_length=512),
    WithJsonSchema({"type": "string", "pattern": f"^{_ENVIRONMENT_NAME}$", "maxLength": 512}),
]
ChannelName = Annotated[
    str,
    AfterValidator(_check_channel_name),
    StringConstraints(max_length=64),
    WithJsonSchema({"type": "string", "pattern": f"^{_CHANNEL_NAME}$", "maxLength": 64}),
]


def _check_place(value: str) -> str:
    value = as_written(value)
    if not value.strip():
        raise wrong("is empty", "give a path or s3://bucket/prefix")
    if "://" in value and not value.startswith(("s3://", "file://")):
        raise wrong(
            f"{quoted(value)} is neither a path nor an s3:// or file:// address",
            "use s3://bucket/prefix, file:///path or a path",
        )
    if value.startswith("s3://") and not value[5:].split("/", 1)[0]:
        raise wrong(f"{quoted(value)} does not name a bucket", "write s3://bucket/prefix")
    return value


def check_source(value: str) -> str:
    if value.startswith("~"):
        fix = "write a path from the spec's file, or an absolute one"
        raise wrong(f"{quoted(value)} starts in a home folder, which differs from user to user", fix)
    return _check_place(value)


ImageName = Annotated[str, AfterValidator(as_written), Field(max_length=255, min_length=1)]
Place = Annotated[str, AfterValidator(_check_place), Field(max_length=1024)]
Source = Annotated[str, AfterValidator(check_source), Field(max_length=1024, title="source")]


class SpecModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


NO_OTHER_NAMES: JsonDict = {"additionalProperties": False}  # for editors; ChannelName and the like check it here


def _check_entry_point(value: str) -> str:
    if value.startswith(("/", "~")) or "://" in value or (".." in PurePosixPath(value).parts and value.count("/") == 0):
        raise wrong(
            f"{quoted(value)} is not a script's path",
            "name it relative to source_dir, or, without one, to the spec's file",
        )
    return value


EntryPoint = Annotated[str, AfterValidator(_check_entry_point), Field(min_length=1, max_length=1024)]
