"""What users write: one pydantic model for each kind of document, with its help and update class.

`load` fills these from YAML; `resolve` turns them into `state.Desired`; `sagespec schema` and
docs/spec.md are made from them. Unknown fields are errors. Everything is frozen.
"""

from __future__ import annotations

import json
import math
import re
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

API_VERSION = "sagespec/v1"

# SageMaker's own limit on names of jobs, models, endpoints and variants (CreateTrainingJob, CreateEndpointConfig).
NAME_PATTERN = r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"
NAME_REGEX = re.compile(NAME_PATTERN)


class Update(StrEnum):
    """What a change of an endpoint's field does to what runs."""

    ROUTE = "route"  # the gateway only, no container touched
    SCALE = "scale"  # containers added or removed, none replaced
    REPLACE = "replace"  # new containers take over from the old ones
    NONE = "none"  # how sagespec goes about it; nothing live changes


def wrong(what: str, fix: str = "", at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A validation error whose text `load` shows as it stands, with `fix` as the way out.

    `{written}` in `fix` stands for the value as the file has it. `at` is the place inside the
    validated value, e.g. ("variants", 1, "name") in an Endpoint.
    """
    return PydanticCustomError("sagespec", "{what}", {"what": what, "fix": fix, "at": at})


def cut(text: str) -> str:
    """`text`, shortened where it is too long to read in a message."""
    return text if len(text) <= 60 else text[:57] + "…"


def quoted(value: object) -> str:
    """`value` in double quotes, shortened where it is too long to read."""
    return json.dumps(cut(str(value)), ensure_ascii=False)


def _check_name(value: Any) -> Any:
    if isinstance(value, bool):
        raise wrong(f"{str(value).lower()} is not a name", f'quote it: "{str(value).lower()}"')
    if isinstance(value, int):
        raise wrong(f"{value} is a number, not a name", f'quote it: "{abs(value)}"')
    if isinstance(value, str) and (len(value) > 63 or not NAME_REGEX.fullmatch(value)):
        raise wrong(
            f"{quoted(value)} is not a name",
            "use 1 to 63 letters and digits, with hyphens inside, e.g. churn-eu",
        )
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
        raise wrong("is longer than 2500 characters", "put it in a file and give that as a channel")
    return _without_nul(value)


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        raise wrong("is a fraction, and text is wanted: as numbers, 1.10 and 1.1 are the same", "quote it: {written}")
    return _without_nul(str(value) if isinstance(value, int) else value)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise wrong("holds a NUL character, which no environment variable can", "remove the \\0")
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
    if not value.strip():
        raise wrong("is empty", "give a path or s3://bucket/prefix")
    if "://" in value and not value.startswith(("s3://", "file://")):
        raise wrong(
            f"{quoted(value)} is neither a path nor an s3:// or file:// address",
            "use s3://bucket/prefix, file:///path or a path",
        )
    if value.startswith("s3://") and not value[5:].split("/", 1)[0]:
        raise wrong(f"{quoted(value)} names no bucket", "write s3://bucket/prefix")
    return value


def _check_source(value: str) -> str:
    if value.startswith("~"):
        fix = "write a path from the spec's file, or an absolute one"
        raise wrong(f"{quoted(value)} starts in the home folder of whoever runs it", fix)
    return _check_place(value)


Place = Annotated[str, AfterValidator(_check_place), Field(max_length=1024)]
Source = Annotated[str, AfterValidator(_check_source), Field(max_length=1024, title="source")]


class Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True, hide_input_in_errors=True
    )


class Resources(Model):
    """Limits of one container."""

    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """CPUs one container may use; no limit when left out."""
    memory: Bytes | None = None
    """Memory one container may use; no limit when left out."""


class Channel(Model):
    """One named input of a training job, seen by the container as /opt/ml/input/data/<channel>."""

    source: Source = Field(examples=["../data/train.csv", "s3://acme/churn/train/"])
    """A file or folder (relative to the spec's file), file:///…, or s3://bucket/prefix."""
    content_type: str | None = Field(default=None, max_length=256)
    """MIME type given to the container, e.g. text/csv or text/libsvm."""
    distribution: Literal["replicated", "sharded"] = "replicated"
    """Whether every container gets all objects, or each its share of them (SageMaker's ShardedByS3Key)."""


class Stopping(Model):
    """When a job that has not ended by itself is stopped."""

    max_runtime: Seconds = 86400.0
    """After this the job is stopped: SIGTERM, 120 s, SIGKILL. SageMaker's default is one day."""


def _channel_short_form(value: Any) -> Any:
    if isinstance(value, str):
        return {"source": value}
    if not isinstance(value, dict | Channel):
        raise wrong("a channel is a source or a map with one", "write a path, s3://bucket/prefix, or {source: …}")
    return value


_NO_OTHER_NAMES: JsonDict = {"additionalProperties": False}  # for editors; ChannelName and the like check it here

# For editors, what the `_one_program` validators check.
_ONE_PROGRAM: JsonDict = {
    "oneOf": [
        {"required": ["algorithm"], "properties": {"algorithm": {"type": "string"}}},
        {"required": ["image"], "properties": {"image": {"type": "string"}}},
    ]
}
_ONE_PROGRAM_FOR_ARCHIVES: JsonDict = {
    "if": {"properties": {"model": {"pattern": r"\.tar\.gz$"}}},
    "then": _ONE_PROGRAM,
    "else": {"properties": {"algorithm": {"type": "null"}}},
}


class Document(Model):
    """What every document starts with."""

    apiVersion: Literal["sagespec/v1"] = Field(examples=[API_VERSION])
    """The format of this document."""


class TrainingJob(Document):
    """A model to be trained once, known by its name and version."""

    model_config = ConfigDict(json_schema_extra=_ONE_PROGRAM)

    kind: Literal["TrainingJob"] = Field(examples=["TrainingJob"])
    """What this document describes."""
    name: Name = Field(examples=["churn"])
    """Name of the job and of the model it makes."""
    version: Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1])]
    """A version is immutable once it has been trained: to change the job, raise it."""
    algorithm: Name | None = None
    """A built-in algorithm, by the name of its folder under images/."""
    image: str | None = Field(default=None, max_length=255, min_length=1)
    """A container image of your own that answers to `train` (and `serve`)."""
    hyperparameters: dict[HyperparameterName, Hyperparameter] = Field(default_factory=dict, max_length=100)
    """Passed to the container as strings, as SageMaker does."""
    channels: dict[
        ChannelName, Annotated[Channel, BeforeValidator(_channel_short_form, json_schema_input_type=str | Channel)]
    ] = Field(min_length=1, max_length=20, examples=[{"train": "../data/train.csv"}], json_schema_extra=_NO_OTHER_NAMES)
    """Input data by channel name; a plain string is short for {source: …}."""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    """How many containers train together."""
    resources: Resources = Resources()
    """Limits of each container."""
    environment: dict[EnvironmentName, Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=100, json_schema_extra=_NO_OTHER_NAMES
    )
    """Environment variables of the containers."""
    stopping: Stopping = Stopping()
    """When the job is stopped if it has not ended by itself."""
    protect: bool = False
    """Noted in the manifest. Trained models are never pruned, protected or not."""

    @model_validator(mode="after")
    def _one_program(self) -> TrainingJob:
        given = [name for name in ("algorithm", "image") if getattr(self, name)]
        if len(given) != 1:
            said = " and ".join(given) if given else "neither"
            raise wrong(
                f"needs exactly one of algorithm and image, has {said}",
                "name a built-in (algorithm: xgboost) or a container (image: …)",
            )
        return self


_JOB_AT_VERSION = re.compile(r"([a-zA-Z0-9-]{1,63})@([1-9][0-9]{0,15})")


def named_job(model: str) -> tuple[str, int] | None:
    """Name and version of the job whose model a variant's `model` names; None when it is an archive's place.

    >>> named_job("churn@3"), named_job("./churn/model.tar.gz")
    (('churn', 3), None)
    """
    match = _JOB_AT_VERSION.fullmatch(model)
    return (match[1], int(match[2])) if match and NAME_REGEX.fullmatch(match[1]) else None


def _check_model(value: str) -> str:
    if named_job(value):
        return value
    if value.startswith("s3://") or "/" in value or value.endswith(".gz"):
        if not value.endswith(".tar.gz"):
            raise wrong(f"{quoted(value)} is not a model archive", "name a file that ends in .tar.gz, or job@version")
        return _check_source(value)
    name = value.partition("@")[0]
    if not NAME_REGEX.fullmatch(name):
        raise wrong(
            f"{quoted(value)} names no model", "write job@version, e.g. churn@3, or the place of a model.tar.gz"
        )
    if "@" not in value:
        raise wrong(f"{quoted(value)} names no version", f"write job@version: {name}@1")
    raise wrong(f"{quoted(value)} ends in no version", f"a version is a whole number from 1: {name}@1")


class Variant(Model):
    """One model behind an endpoint, with its share of the traffic."""

    model_config = ConfigDict(json_schema_extra=_ONE_PROGRAM_FOR_ARCHIVES)

    name: Annotated[Name, Update.REPLACE] = Field(examples=["stable"])
    """Name callers see as InvokedProductionVariant."""
    model: Annotated[str, AfterValidator(_check_model), Field(max_length=1024), Update.REPLACE] = Field(
        title="model",
        examples=["churn@3", "./model.tar.gz", "s3://acme/churn/model.tar.gz"],
        json_schema_extra={"pattern": r"(@[1-9][0-9]*|\.tar\.gz)$"},
    )
    """job@version, or a model.tar.gz of your own: a path (relative to the spec's file) or s3://…."""
    weight: Annotated[float, Field(ge=0, le=1e9), Update.ROUTE] = 1.0
    """Share of the traffic relative to the other variants."""
    instances: Annotated[int, Field(ge=1, le=100), Update.SCALE] = 1
    """Containers that serve this variant."""
    algorithm: Annotated[Name | None, Update.REPLACE] = None
    """The built-in that serves a model of your own; a job's model is served by what trained it."""
    image: Annotated[str | None, Update.REPLACE] = Field(default=None, max_length=255, min_length=1)
    """A container image that serves the model instead of the one that trained it."""
    environment: Annotated[dict[EnvironmentName, Annotated[Text, Field(max_length=1024)]], Update.REPLACE] = Field(
        default_factory=dict, max_length=100, json_schema_extra=_NO_OTHER_NAMES
    )
    """Environment variables of the containers."""
    resources: Annotated[Resources, Update.REPLACE] = Resources()
    """Limits of each container."""

    @model_validator(mode="after")
    def _one_program(self) -> Variant:
        if named_job(self.model):
            if self.algorithm:
                raise wrong(
                    f"does not go with model {self.model}, which is served by what trained it",
                    "remove algorithm; a container of your own is named by image",
                    at=("algorithm",),
                )
        elif bool(self.algorithm) == bool(self.image):
            raise wrong(
                f"{quoted(self.model)} needs exactly one of algorithm and image to serve it, "
                f"has {'both' if self.image else 'neither'}",
                "name a built-in (algorithm: xgboost) or a container (image: …)",
                at=("model",),
            )
        return self


class Rollout(Model):
    """How a change of model reaches the callers."""

    strategy: Annotated[Literal["all_at_once"], Update.NONE] = "all_at_once"
    """New containers, once healthy, take all of the variant's traffic in one step."""
    healthy_within: Annotated[Seconds, Update.NONE] = 480.0
    """New containers must answer /ping within this; SageMaker gives 8 minutes."""
    min_healthy: Annotated[Seconds, Update.NONE] = 1.0
    """… and stay healthy for this long before they get traffic."""
    drain_within: Annotated[Seconds, Update.NONE] = 70.0
    """Old containers may take this long to finish their requests; 60 s is the longest a request may run."""
    replace: Annotated[Literal["changed", "always"], Update.NONE] = "changed"
    """`always` gives every variant fresh containers whenever the split changes."""


class Endpoint(Document):
    """A name behind the gateway that answers predictions from one or several models."""

    kind: Literal["Endpoint"] = Field(examples=["Endpoint"])
    """What this document describes."""
    name: Annotated[Name, Update.REPLACE] = Field(examples=["churn"])
    """The name in POST /endpoints/<name>/invocations."""
    variants: tuple[Variant, ...] = Field(
        min_length=1, max_length=10, strict=False, examples=[[{"name": "stable", "model": "churn@1"}]]
    )
    """The models behind the endpoint and how traffic is split between them."""
    rollout: Annotated[Rollout, Update.NONE] = Rollout()
    """How a change reaches the callers."""
    protect: Annotated[bool, Update.NONE] = False
    """Never prune or destroy this, even when its spec is gone."""

    @model_validator(mode="after")
    def _variants_make_sense(self) -> Endpoint:
        # Host names ignore case, so two variants may not differ in it alone.
        names = [variant.name.lower() for variant in self.variants]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise wrong(
                    f"an earlier variant is named {self.variants[names.index(name)].name}",
                    "give each variant a name of its own",
                    at=("variants", index, "name"),
                )
        if sum(variant.weight for variant in self.variants) <= 0:
            raise wrong(
                "all weights are 0, so nobody would be answered",
                "give at least one variant a weight above 0",
                at=("variants",),
            )
        return self


def _check_host(value: Any) -> Any:
    """An IP address: engines publish ports on addresses, not on names."""
    try:
        return "127.0.0.1" if value == "localhost" else str(ip_address(value))
    except ValueError:
        raise wrong(f"{quoted(value)} is not an IP address", "write 127.0.0.1, or 0.0.0.0 for all of them") from None


class Gateway(Model):
    """Where the project's endpoints are called."""

    host: Annotated[str, BeforeValidator(_check_host)] = "127.0.0.1"
    """Address the gateway listens on. 0.0.0.0 opens it to the network: there is no authentication."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port the gateway listens on."""

    @property
    def url(self) -> str:
        """Where callers on this machine find it: http://127.0.0.1:8080."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{self.port}"


class Project(Document):
    """The settings of a repository: sagespec.yaml at its root."""

    kind: Literal["Project"] = Field(examples=["Project"])
    """What this document describes."""
    name: Name = Field(examples=["acme-churn"])
    """Marks what belongs to this project; two projects on one engine never touch each other."""
    store: Place = "file://.sagespec/store"
    """Where models, logs and history live: a path from this file, or s3://bucket/prefix."""
    runtime: Literal["auto", "docker", "process"] = "auto"
    """The engine: docker, process (plain local processes), or auto (docker if it answers)."""
    gateway: Gateway = Gateway()
    """Where the endpoints are called: http://127.0.0.1:8080 unless told otherwise."""
    parallel_jobs: Annotated[int, Field(ge=1, le=64)] = 2
    """How many training jobs may run at once."""


Spec = TrainingJob | Endpoint
AnyDocument = Annotated[TrainingJob | Endpoint | Project, Field(discriminator="kind")]
KINDS: dict[str, type[TrainingJob] | type[Endpoint] | type[Project]] = {
    "TrainingJob": TrainingJob,
    "Endpoint": Endpoint,
    "Project": Project,
}


def update_class(model: type[Model], field: str) -> Update:
    """The update class declared on `model.field`; REPLACE when none is declared, which is the safe reading."""
    return next((mark for mark in model.model_fields[field].metadata if isinstance(mark, Update)), Update.REPLACE)
