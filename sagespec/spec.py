"""What users write: one pydantic model for each kind of document, with its help and update class.

`load` fills these from YAML; `resolve` turns them into `state.Desired`; `sagespec schema` and
docs/spec.md are made from them. Unknown fields are errors. Everything is frozen.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
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


def wrong(what: str, fix: str = "") -> PydanticCustomError:
    """A validation error whose text `load` shows as it stands, with `fix` as the way out."""
    return PydanticCustomError("sagespec", "{what}", {"what": what, "fix": fix})


def _check_name(value: Any) -> Any:
    if isinstance(value, bool):
        raise wrong(
            f"{str(value).lower()} is not a name: YAML reads yes, no, on, off, true and false as booleans",
            'quote it: name: "no"',
        )
    if isinstance(value, int | float):
        raise wrong(f"{value} is a number, not a name", f'quote it: "{value}"')
    if isinstance(value, str) and not NAME_REGEX.match(value):
        raise wrong(f"{value!r} is not a name", "use 1 to 63 letters, digits and single hyphens inside, e.g. churn-eu")
    return value


Name = Annotated[str, BeforeValidator(_check_name), Field(pattern=NAME_PATTERN, max_length=63)]

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: Any) -> float:
    """Seconds from `90`, `90s`, `1.5h`, `2m`, `1d`, `250ms`.

    >>> parse_duration("1.5h")
    5400.0
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong(f"{value!r} is not a duration", "write a number with a unit: 30s, 10m, 1h, 2d")
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        match = _DURATION.match(value.strip())
        if not match:
            raise wrong(f"{value!r} is not a duration", "write a number with a unit: 30s, 10m, 1h, 2d")
        seconds = float(match[1]) * _DURATION_SECONDS[match[2]]
    if not 0 <= seconds <= 28 * 86400:
        raise wrong(f"{value!r} is out of range", "a duration is between 0s and 28d")
    return seconds


_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$")
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
    match = (
        _SIZE.match(str(value).strip())
        if isinstance(value, int | float | str) and not isinstance(value, bool)
        else None
    )
    if not match:
        raise wrong(f"{value!r} is not a size", "write a number with a unit: 512MiB, 2GiB")
    return int(float(match[1]) * _SIZE_BYTES[match[2] or "B"])


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"type": ["string", "number"], "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "examples": ["30s", "10m", "1h"]}
    ),
]
Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": r"^\d+(\.\d+)?\s*(B|[KMGT]i?B)?$", "examples": ["512MiB", "2GiB"]}
    ),
]


def _hyperparameter(value: Any) -> Any:
    if isinstance(value, dict | list) or value is None or isinstance(value, bool | int | float | str):
        return value
    raise wrong(
        f"{value!r} ({type(value).__name__}) is not a hyperparameter",
        "use a string, number, boolean, list or map; quote dates",
    )


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Hyperparameter = Annotated[Any, BeforeValidator(_hyperparameter)]
Text = Annotated[str, BeforeValidator(_text)]
EnvironmentName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=512)]


def _check_source(value: str) -> str:
    if not value.strip():
        raise wrong("a source may not be empty", "give a path or an s3://bucket/prefix")
    if "://" in value and not value.startswith(("s3://", "file://")):
        raise wrong(
            f"{value!r} is neither a path nor an s3:// or file:// address",
            "use s3://bucket/prefix, file:///path or a path",
        )
    if value.startswith("s3://") and not value[5:].split("/", 1)[0]:
        raise wrong(f"{value!r} names no bucket", "write s3://bucket/prefix")
    return value


Source = Annotated[str, AfterValidator(_check_source)]


class Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=False, hide_input_in_errors=True
    )


class Resources(Model):
    """Limits of one container."""

    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """CPUs one container may use; no limit when left out."""
    memory: Bytes | None = None
    """Memory one container may use; no limit when left out."""


class Channel(Model):
    """One named input of a training job, seen by the container as /opt/ml/input/data/<channel>."""

    source: Source
    """A file or folder (relative to the spec's file), file:///…, or s3://bucket/prefix."""
    content_type: str | None = Field(default=None, max_length=256)
    """MIME type given to the container, e.g. text/csv or text/libsvm."""
    distribution: Literal["replicated", "sharded"] = "replicated"
    """Whether every container gets all objects, or each its share of them (SageMaker's ShardedByS3Key)."""


class Stopping(Model):
    max_runtime: Seconds = 86400.0
    """After this the job is stopped: SIGTERM, 120 s, SIGKILL. SageMaker's default is one day."""


def _channel_short_form(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


ChannelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-_]+$", max_length=64)]


class Document(Model):
    apiVersion: Literal["sagespec/v1"]
    """The format of this document."""


class TrainingJob(Document):
    """A model to be trained once, known by its name and version."""

    kind: Literal["TrainingJob"]
    name: Name
    """Name of the job and of the model it makes."""
    version: Annotated[int, Field(ge=1)]
    """A version is immutable once it has been trained: to change the job, raise it."""
    algorithm: Name | None = None
    """A built-in algorithm, by the name of its folder under images/."""
    image: str | None = Field(default=None, max_length=255, min_length=1)
    """A container image of your own that answers to `train` (and `serve`)."""
    hyperparameters: dict[str, Hyperparameter] = Field(default_factory=dict, max_length=100)
    """Passed to the container as strings, as SageMaker does."""
    channels: dict[ChannelName, Annotated[Channel, BeforeValidator(_channel_short_form)]] = Field(
        min_length=1, max_length=20
    )
    """Input data by channel name; a plain string is short for {source: …}."""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    """How many containers train together."""
    resources: Resources = Resources()
    environment: dict[EnvironmentName, Text] = Field(default_factory=dict, max_length=100)
    """Environment variables of the containers."""
    stopping: Stopping = Stopping()
    protect: bool = False
    """Never prune or destroy this, even when its spec is gone."""

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


class Variant(Model):
    """One model behind an endpoint, with its share of the traffic."""

    name: Name
    """Name callers see as InvokedProductionVariant."""
    model: Annotated[str, Field(min_length=1)]
    """job@version, or a model.tar.gz of your own: a path or s3://…."""
    weight: Annotated[float, Field(ge=0, le=1e9), Update.ROUTE] = 1.0
    """Share of the traffic relative to the other variants."""
    instances: Annotated[int, Field(ge=1, le=100), Update.SCALE] = 1
    """Containers that serve this variant."""
    algorithm: Annotated[Name | None, Update.REPLACE] = None
    """The built-in that serves a model of your own; a job's model is served by what trained it."""
    image: Annotated[str | None, Update.REPLACE] = Field(default=None, max_length=255, min_length=1)
    """A container image that serves the model instead of the one that trained it."""
    environment: Annotated[dict[EnvironmentName, Text], Update.REPLACE] = Field(default_factory=dict, max_length=100)
    """Environment variables of the containers."""
    resources: Annotated[Resources, Update.REPLACE] = Resources()


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

    kind: Literal["Endpoint"]
    name: Name
    """The name in POST /endpoints/<name>/invocations."""
    variants: Annotated[tuple[Variant, ...], Field(min_length=1, max_length=10)]
    """The models behind the endpoint and how traffic is split between them."""
    rollout: Rollout = Rollout()
    protect: bool = False
    """Never prune or destroy this, even when its spec is gone."""

    @model_validator(mode="after")
    def _variants_make_sense(self) -> Endpoint:
        names = [variant.name for variant in self.variants]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise wrong(f"two variants are named {twice[0]!r}", "give each variant a name of its own")
        if sum(variant.weight for variant in self.variants) <= 0:
            raise wrong("all weights are 0, so nobody would be answered", "give at least one variant a weight above 0")
        return self


class Gateway(Model):
    host: Text = "127.0.0.1"
    """Address the gateway listens on. 0.0.0.0 opens it to the network: there is no authentication."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port the gateway listens on."""


class Project(Document):
    """The settings of a repository: sagespec.yaml at its root."""

    kind: Literal["Project"]
    name: Name
    """Marks what belongs to this project; two projects on one engine never touch each other."""
    store: Source = "file://.sagespec/store"
    """Where models, logs and history live: file:// or a path, or s3://bucket/prefix."""
    runtime: Literal["auto", "docker", "process"] = "auto"
    """The engine: docker, process (plain local processes), or auto (docker if it answers)."""
    gateway: Gateway = Gateway()
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
