"""What users write: one pydantic model for each kind of document, with its help and update class.

`load` fills these from YAML; `resolve` turns them into `state.Desired`; `sagespec schema` and
docs/spec.md are made from them. Unknown fields are errors. Everything is frozen. `values` has what
single fields may hold.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from sagespec.spec.values import (
    NAME_REGEX,
    NO_OTHER_NAMES,
    Bytes,
    ChannelName,
    EnvironmentName,
    Hyperparameter,
    HyperparameterName,
    Model,
    Name,
    Place,
    Seconds,
    Source,
    Text,
    check_source,
    quoted,
    wrong,
)

API_VERSION = "sagespec/v1"


class Update(StrEnum):
    """What a change of an endpoint's field does to what runs."""

    ROUTE = "route"  # the gateway only, no container touched
    SCALE = "scale"  # containers added or removed, none replaced
    REPLACE = "replace"  # new containers take over from the old ones
    NONE = "none"  # how sagespec goes about it; nothing live changes


class Resources(Model):
    """Limits of one container."""

    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """CPUs one container may use; no limit when left out."""
    memory: Bytes | None = None
    """Memory one container may use; no limit when left out."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs one container gets, by id and for itself alone."""


InputMode = Literal["file", "fastfile", "pipe"]


class Channel(Model):
    """One named input of a training job, seen by the container as /opt/ml/input/data/<channel>."""

    source: Source = Field(examples=["../data/train.csv", "s3://acme/churn/train/"])
    """A file or folder (relative to the spec's file), file:///…, or s3://bucket/prefix."""
    content_type: str | None = Field(default=None, max_length=256)
    """MIME type given to the container, e.g. text/csv or text/libsvm."""
    distribution: Literal["replicated", "sharded"] = "replicated"
    """Whether every container gets all objects, or each its share of them (SageMaker's ShardedByS3Key)."""
    input_mode: InputMode | None = None
    """How this channel's data reach the container; as the job's input_mode when left out."""
    data_type: Literal["prefix", "manifest"] = "prefix"
    """Whether source is the data, or a manifest file that lists them (SageMaker's ManifestFile)."""
    compression: Literal["none", "gzip"] = "none"
    """Pipe mode alone: whether the objects are gzip files, to be unpacked on the way."""
    record_wrapper: Literal["none", "recordio"] = "none"
    """Pipe mode alone: recordio puts each object into one RecordIO record."""
    shuffle_seed: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    """Pipe mode or sharded: shuffles the order of the objects (and so who gets which), in pipe mode anew each epoch."""
    writable: bool = False
    """File mode alone: give each container a copy it may write to, instead of a read-only view."""

    @model_validator(mode="after")
    def _modes_fit(self) -> Channel:
        if self.writable and self.input_mode not in (None, "file"):
            raise wrong("is for input_mode file", "remove it, or set input_mode: file", at=("writable",))
        return self


class Stopping(Model):
    """When a job that has not ended by itself is stopped."""

    max_runtime: Seconds = 86400.0
    """After this the job is stopped: SIGTERM, 120 s, SIGKILL. Counts over all retries. SageMaker's default is one
    day."""
    max_wait: Seconds | None = None
    """Waiting for its turn and running together may take this long; no limit when left out."""

    @model_validator(mode="after")
    def _wait_holds_the_run(self) -> Stopping:
        if self.max_wait is not None and self.max_wait < self.max_runtime:
            raise wrong(
                "is shorter than max_runtime",
                "waiting and running count together: make it at least as long as max_runtime",
                at=("max_wait",),
            )
        return self


def _check_regex(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise wrong(
            f"{quoted(value)} is not a regular expression: {error}", "write one as Python's re reads it"
        ) from None
    if not groups:
        raise wrong(f"{quoted(value)} has no group", "put the number into parentheses: 'loss=([0-9.]+)'")
    return value


class Metric(Model):
    """A number looked for in every line that the containers print."""

    name: Annotated[str, Field(min_length=1, max_length=255, examples=["validation:auc"])]
    """Name it is shown by."""
    regex: Annotated[str, AfterValidator(_check_regex), Field(max_length=500, examples=["auc=([0-9.]+)"])]
    """Regular expression whose first group is the number."""


_CHECKPOINT_PATH = re.compile(r"/opt/ml/(?!(?:input|model|output|code)(?:/|$))[^/\0]+(?:/[^/\0]+)*/?")


def _check_checkpoint_path(value: str) -> str:
    if not _CHECKPOINT_PATH.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise wrong(
            f"{quoted(value)} is not a folder for checkpoints", "name one under /opt/ml, as /opt/ml/checkpoints"
        )
    return value.rstrip("/")


class Checkpoints(Model):
    """Where a job keeps what it needs to go on after an interruption."""

    path: Annotated[str, AfterValidator(_check_checkpoint_path)] = "/opt/ml/checkpoints"
    """Folder in the container: filled before the start, copied out while the job runs."""
    source: Source | None = None
    """Where they are kept, a path from the spec's file or s3://bucket/prefix; in the store when left out."""


def _checkpoints_short_form(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


def _channel_short_form(value: Any) -> Any:
    if isinstance(value, str):
        return {"source": value}
    if not isinstance(value, dict | Channel):
        raise wrong("a channel is a source or a map with one", "write a path, s3://bucket/prefix, or {source: …}")
    return value


def _check_context(value: str) -> str:
    if "://" in value and not value.startswith("file://"):
        raise wrong(f"{quoted(value)} is not a folder", "name a folder with a Dockerfile, relative to the spec's file")
    return check_source(value)


class Build(Model):
    """A folder from which the engine builds a container of your own."""

    context: Annotated[
        str, AfterValidator(_check_context), Field(min_length=1, max_length=1024, examples=["./container"])
    ]
    """The folder, relative to the spec's file; what its .dockerignore names is left out."""
    dockerfile: Annotated[str, Field(min_length=1, max_length=1024)] = "Dockerfile"
    """The Dockerfile, relative to the folder."""
    args: dict[EnvironmentName, Annotated[Text, Field(max_length=1024)]] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Build arguments (ARG in the Dockerfile)."""


def _build_short_form(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


BuildOrContext = Annotated[Build, BeforeValidator(_build_short_form, json_schema_input_type=str | Build)]


def _check_entry_point(value: str) -> str:
    if value.startswith(("/", "~")) or "://" in value or (".." in PurePosixPath(value).parts and value.count("/") == 0):
        raise wrong(
            f"{quoted(value)} is not a script's path",
            "name it relative to source_dir, or, without one, to the spec's file",
        )
    return value


EntryPoint = Annotated[str, AfterValidator(_check_entry_point), Field(min_length=1, max_length=1024)]
Word = Annotated[str, Field(min_length=1, max_length=256)]

_WITH_TORCHRUN = ("pytorch", "huggingface")
# For editors, what the `_one_program` validators check.
PROGRAMS = ("algorithm", "framework", "image", "build")
PROGRAMS_OF_ARCHIVES = ("algorithm", "framework", "image")
_ONE_PROGRAM: JsonDict = {
    "oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in PROGRAMS]
}
_ONE_PROGRAM_FOR_ARCHIVES: JsonDict = {
    "if": {"properties": {"model": {"pattern": r"\.tar\.gz$"}}},
    "then": {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("algorithm", "framework", "image")
        ]
    },
    "else": {"properties": {"algorithm": {"type": "null"}, "framework": {"type": "null"}}},
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
    framework: Name | None = None
    """A framework that runs a script of yours: sklearn, xgboost, pytorch, tensorflow, …"""
    image: str | None = Field(default=None, max_length=255, min_length=1)
    """A container image of your own that answers to `train` (and `serve`)."""
    build: BuildOrContext | None = None
    """A folder with the Dockerfile of such a container; a plain string is short for {context: …}."""
    entry_point: EntryPoint | None = None
    """The script to run, relative to source_dir; without source_dir a file of its own, relative to the spec's file."""
    source_dir: Source | None = None
    """The folder of the script and what it imports (relative to the spec's file), or s3://…/sourcedir.tar.gz."""
    distribution: Literal["torch_distributed", "multi_worker_mirrored_strategy"] | None = None
    """How the script is started on several containers: by torchrun, or with TF_CONFIG."""
    entrypoint: Annotated[tuple[Word, ...], Field(strict=False, max_length=100)] = ()
    """Replaces the image's entrypoint (SageMaker's ContainerEntrypoint); the word `train` is then left out."""
    arguments: Annotated[tuple[Word, ...], Field(strict=False, max_length=100)] = ()
    """Arguments instead of the word `train` (SageMaker's ContainerArguments)."""
    hyperparameters: dict[HyperparameterName, Hyperparameter] = Field(default_factory=dict, max_length=100)
    """Passed to the container as strings, as SageMaker does."""
    channels: dict[
        ChannelName, Annotated[Channel, BeforeValidator(_channel_short_form, json_schema_input_type=str | Channel)]
    ] = Field(
        default_factory=dict, max_length=20, examples=[{"train": "../data/train.csv"}], json_schema_extra=NO_OTHER_NAMES
    )
    """Input data by channel name; a plain string is short for {source: …}."""
    input_mode: InputMode = "file"
    """How data reach the containers: file (all there before the start), fastfile (the same path, never copied where it
    can be mounted), or pipe (a FIFO for each channel and epoch)."""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    """How many containers train together."""
    resources: Resources = Resources()
    """Limits of each container."""
    environment: dict[EnvironmentName, Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Environment variables of the containers."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False, max_length=40)] = ()
    """Numbers to be found in what the containers print, beside those that a built-in declares itself."""
    checkpoints: Annotated[
        Checkpoints | None, BeforeValidator(_checkpoints_short_form, json_schema_input_type=bool | Checkpoints | None)
    ] = None
    """Keep a folder of checkpoints, from which a retried or killed job goes on; `true` is short for {}."""
    stopping: Stopping = Stopping()
    """When the job is stopped if it has not ended by itself."""
    retries: Annotated[int, Field(ge=0, le=30)] = 2
    """How often the job is begun again after a fault of the platform (never after one of the algorithm)."""
    protect: bool = False
    """Noted in the manifest. Trained models are never pruned, protected or not."""

    @model_validator(mode="after")
    def _one_program(self) -> TrainingJob:
        given = [name for name in PROGRAMS if getattr(self, name)]
        if len(given) != 1:
            said = " and ".join(given) if given else "none"
            raise wrong(
                f"needs exactly one of algorithm, framework, image and build, has {said}",
                "name a built-in (algorithm: xgboost), a framework for a script of yours (framework: pytorch), "
                "or a container (image: …, build: ./folder)",
            )
        return self

    @model_validator(mode="after")
    def _script_fits(self) -> TrainingJob:
        if self.framework and not self.entry_point:
            raise wrong("is missing", "name the script: entry_point: train.py", at=("entry_point",))
        for name in ("source_dir", "distribution"):
            if getattr(self, name) and not self.entry_point:
                raise wrong("needs entry_point", "name the script: entry_point: train.py", at=(name,))
        if self.entry_point and self.algorithm:
            raise wrong(
                "does not go with algorithm, which runs no script",
                f"write framework: {self.algorithm} if it is one, or remove it",
                at=("entry_point",),
            )
        if self.distribution == "torch_distributed" and self.framework and self.framework not in _WITH_TORCHRUN:
            what = f"torch_distributed is for {' and '.join(_WITH_TORCHRUN)}: {self.framework} has no torchrun"
            raise wrong(what, "remove it, or change the framework", at=("distribution",))
        for name in ("entrypoint", "arguments"):
            if getattr(self, name) and not (self.image or self.build):
                raise wrong("is for containers of your own (image, build)", "remove it", at=(name,))
        if self.source_dir and self.source_dir.startswith("s3://") and not self.source_dir.endswith(".tar.gz"):
            what = f"{quoted(self.source_dir)} is no archive"
            raise wrong(what, "name a sourcedir.tar.gz, or a folder of this machine", at=("source_dir",))
        if self.entry_point and self.source_dir and ".." in PurePosixPath(self.entry_point).parts:
            raise wrong("leads out of source_dir", "name a script inside it", at=("entry_point",))
        return self

    @model_validator(mode="after")
    def _channels_fit(self) -> TrainingJob:
        for name, channel in self.channels.items():
            mode = channel.input_mode or self.input_mode
            if channel.writable and mode != "file":
                fix = f"remove it, or set input_mode: file on this channel; the job's is {mode}"
                raise wrong("is for input_mode file", fix, at=("channels", name, "writable"))
            if channel.shuffle_seed is not None and mode != "pipe" and channel.distribution != "sharded":
                what = "shuffles nothing: every container has all objects, as files"
                fix = "set input_mode: pipe or distribution: sharded, or remove it"
                raise wrong(what, fix, at=("channels", name, "shuffle_seed"))
            if mode == "pipe":
                for other in self.channels:
                    if re.fullmatch(rf"{re.escape(name)}_\d+", other):
                        what = f"is what an epoch of the channel {name} is called, which is in pipe mode"
                        raise wrong(what, "rename one of them", at=("channels", other))
                continue
            for field in ("compression", "record_wrapper"):
                if getattr(channel, field) != "none":
                    fix = "set input_mode: pipe, or remove it: other modes give the files as they are"
                    raise wrong("is for input_mode pipe", fix, at=("channels", name, field))
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
        return check_source(value)
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
    framework: Annotated[Name | None, Update.REPLACE] = None
    """The framework that serves a model of your own, by the script in its code/ folder or by its defaults."""
    image: Annotated[str | None, Update.REPLACE] = Field(default=None, max_length=255, min_length=1)
    """A container image that serves the model instead of the one that trained it."""
    entry_point: Annotated[EntryPoint | None, Update.REPLACE] = None
    """The script in the model's code/ folder that serves it (model_fn, …); the training script when left out."""
    environment: Annotated[dict[EnvironmentName, Annotated[Text, Field(max_length=1024)]], Update.REPLACE] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Environment variables of the containers."""
    resources: Annotated[Resources, Update.REPLACE] = Resources()
    """Limits of each container."""

    @model_validator(mode="after")
    def _one_program(self) -> Variant:
        given = [name for name in PROGRAMS_OF_ARCHIVES if getattr(self, name)]
        if named_job(self.model):
            for name in ("algorithm", "framework"):
                if name in given:
                    raise wrong(
                        f"does not go with model {self.model}, which is served by what trained it",
                        f"remove {name}; a container of your own is named by image",
                        at=(name,),
                    )
        elif len(given) != 1:
            raise wrong(
                f"{quoted(self.model)} needs exactly one of algorithm, framework and image to serve it, "
                f"has {' and '.join(given) or 'none'}",
                "name a built-in (algorithm: xgboost, framework: pytorch) or a container (image: …)",
                at=("model",),
            )
        if self.entry_point and self.algorithm:
            raise wrong("does not go with algorithm, which runs no script", "remove it", at=("entry_point",))
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
    cache_size: Bytes = 50 * 2**30
    """How much of the data fetched from S3 is kept in .sagespec/cache; beyond it, what was used longest ago goes."""


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
