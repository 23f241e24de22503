"""The TrainingJob document: a program, its inputs and hyperparameters, limits and resources.

`load` builds it from YAML, `resolve` turns it into a DesiredJob; the schema and docs/spec.md come from its fields.
"""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from sagespec.spec import columns
from sagespec.spec.columns import ColumnName, ColumnNames
from sagespec.spec.document import DocumentSpec
from sagespec.spec.retrain import Retrain
from sagespec.spec.secrets import TrainingValue
from sagespec.spec.values import (
    NO_OTHER_NAMES,
    Bytes,
    ChannelName,
    EntryPoint,
    EnvironmentName,
    Hyperparameter,
    HyperparameterName,
    ImageName,
    Name,
    Seconds,
    Source,
    SpecModel,
    Text,
    check_source,
    quoted,
    wrong,
)


class Resources(SpecModel):
    """Limits for one container."""

    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """CPUs each container may use; no limit by default."""
    memory: Bytes | None = None
    """Memory each container may use; no limit by default."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs each container gets: assigned by ID and not shared."""


InputMode = Literal["file", "fastfile", "pipe"]


class ChannelSpec(SpecModel):
    """One named input of a training job; the container finds it at /opt/ml/input/data/<channel>."""

    source: Source = Field(examples=["../data/train.csv", "s3://acme/churn/train/"])
    """A file or folder (relative to the spec's file), file:///…, or s3://bucket/prefix."""
    content_type: str | None = Field(default=None, max_length=256)
    """MIME type passed to the container, e.g. text/csv or text/libsvm. Without one, a built-in algorithm goes by the
    names of the files (.csv, .libsvm, .jsonl, .parquet, …), or else takes its own default."""
    distribution: Literal["replicated", "sharded"] = "replicated"
    """Whether every container gets all objects, or only its share of them (SageMaker's ShardedByS3Key)."""
    input_mode: InputMode | None = None
    """How this channel's data reaches the container; defaults to the job's input_mode."""
    data_type: Literal["prefix", "manifest"] = "prefix"
    """Whether source is the data itself, or a manifest file that lists it (SageMaker's ManifestFile)."""
    compression: Literal["none", "gzip"] = "none"
    """Pipe mode only: whether the objects are gzip files, to be decompressed on the way."""
    record_wrapper: Literal["none", "recordio"] = "none"
    """Pipe mode only: recordio wraps each object in one RecordIO record."""
    shuffle_seed: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    """Pipe mode or sharded: shuffles the objects (and so which container gets which), in pipe mode again each epoch."""
    writable: bool = False
    """File mode only: give each container its own writable copy instead of a read-only view."""
    target: Annotated[ColumnName, Field(min_length=1, examples=["defaulted"])] | None = None
    """Built-in algorithms: the column to predict, by its name. Said on one channel, this and the next three hold for
    all of the job ([your-data.md](your-data.md))."""
    drop: ColumnNames = Field(default=(), examples=[["loan_id"]])
    """Built-in algorithms: columns not to learn from, such as an id."""
    categorical: ColumnNames = Field(default=(), examples=[["state"]])
    """Built-in algorithms: columns of text, or of numbers that are names; each of their values becomes a feature."""
    header: bool | None = None
    """Built-in algorithms: whether the first line of CSV files names the columns; target, drop and categorical imply
    it."""

    @model_validator(mode="after")
    def _columns_fit(self) -> ChannelSpec:
        columns.check_channel(self)
        return self

    @model_validator(mode="after")
    def _modes_fit(self) -> ChannelSpec:
        if self.writable and self.input_mode not in (None, "file"):
            raise wrong("is for input_mode file", "remove it, or set input_mode: file", at=("writable",))
        return self


class Stopping(SpecModel):
    """When to stop a job that has not finished."""

    max_runtime: Seconds = 86400.0
    """Longest run time, all retries together. Then the job is stopped: SIGTERM, and SIGKILL after 120 s. One day is
    SageMaker's default."""
    max_wait: Seconds | None = None
    """Longest time for waiting in the queue and running together; no limit by default."""

    @model_validator(mode="after")
    def _wait_holds_the_run(self) -> Stopping:
        if self.max_wait is not None and self.max_wait < self.max_runtime:
            raise wrong(
                "is shorter than max_runtime",
                "waiting and running count together: make it at least as long as max_runtime",
                at=("max_wait",),
            )
        return self


MOST_REPEATS = 100_000  # of counts in a regular expression, multiplied: each costs memory


def _check_regex(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise wrong(
            f"{quoted(value)} is not a regular expression: {error}", "write one that Python's re accepts"
        ) from None
    if not groups:
        raise wrong(f"{quoted(value)} has no group", "put the number in parentheses: 'loss=([0-9.]+)'")
    repeats = [int(count) for count in re.findall(r"\)\{(\d+)", value)]
    if math.prod(repeats) * max(map(int, re.findall(r"\{(\d+)", value)), default=1) > MOST_REPEATS:
        raise wrong(f"{quoted(value)} repeats groups of groups too often", "repeat with * or + instead of a count")
    return value


class Metric(SpecModel):
    """A number to extract from every line the containers print."""

    name: Annotated[str, Field(min_length=1, max_length=255, examples=["validation:auc"])]
    """Name to show it under."""
    regex: Annotated[str, AfterValidator(_check_regex), Field(max_length=500, examples=["auc=([0-9.]+)"])]
    """Regular expression, looked for in the first 4,096 characters; its first group is the number.
    The last one in a progress bar counts."""


_CHECKPOINT_PATH = re.compile(r"/opt/ml/(?!(?:input|model|output|code)(?:/|$))[^/\0]+(?:/[^/\0]+)*/?")


def _check_checkpoint_path(value: str) -> str:
    if not _CHECKPOINT_PATH.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise wrong(
            f"{quoted(value)} is not a folder for checkpoints", "name one under /opt/ml, as /opt/ml/checkpoints"
        )
    return value.rstrip("/")


class CheckpointsSpec(SpecModel):
    """Where a job keeps what it needs to resume after an interruption."""

    path: Annotated[str, AfterValidator(_check_checkpoint_path)] = "/opt/ml/checkpoints"
    """Folder in the container: filled before the job starts, copied out while it runs."""
    source: Source | None = None
    """Where they are kept: a path relative to the spec's file, or s3://bucket/prefix. Default: the store."""


def _checkpoints_short_form(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


def _channel_short_form(value: Any) -> Any:
    if isinstance(value, str):
        return {"source": value}
    if not isinstance(value, dict | ChannelSpec):
        raise wrong("a channel is a source or a map with one", "write a path, s3://bucket/prefix, or {source: …}")
    return value


def _check_context(value: str) -> str:
    if "://" in value and not value.startswith("file://"):
        raise wrong(f"{quoted(value)} is not a folder", "name a folder with a Dockerfile, relative to the spec's file")
    return check_source(value)


def _check_archive(value: str) -> str:
    if not value.endswith(".tar.gz"):
        raise wrong(f"{quoted(value)} is no model.tar.gz", "name one: a path, or s3://…")
    return check_source(value)


class BuildSpec(SpecModel):
    """A folder from which the engine builds your own container."""

    context: Annotated[
        str, AfterValidator(_check_context), Field(min_length=1, max_length=1024, examples=["./container"])
    ]
    """The folder, relative to the spec's file; whatever its .dockerignore lists is left out."""
    dockerfile: Annotated[str, Field(min_length=1, max_length=1024)] = "Dockerfile"
    """The Dockerfile, relative to the folder."""
    args: dict[EnvironmentName, Annotated[Text, Field(max_length=1024)]] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Build arguments (ARG in the Dockerfile)."""


def _build_short_form(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


BuildOrContext = Annotated[BuildSpec, BeforeValidator(_build_short_form, json_schema_input_type=str | BuildSpec)]
Word = Annotated[str, Field(min_length=1, max_length=256)]


class ImportedFrom(SpecModel):
    """A model that was trained elsewhere."""

    source: Annotated[str, AfterValidator(_check_archive), Field(max_length=1024)] = Field(
        examples=["../models/churn.tar.gz", "s3://acme/churn/model.tar.gz"],
        json_schema_extra={"pattern": r"\.tar\.gz$"},
    )
    """Its model.tar.gz: a path (relative to the spec's file), or s3://…. Once it is imported it may be gone."""
    metrics: dict[Annotated[str, Field(min_length=1, max_length=255)], Annotated[float, Field(allow_inf_nan=False)]] = (
        Field(default_factory=dict, max_length=100, examples=[{"validation:auc": 0.797}])
    )
    """What it scored there."""


def _import_short_form(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


ImportOrSource = Annotated[ImportedFrom, BeforeValidator(_import_short_form, json_schema_input_type=str | ImportedFrom)]
_WITH_TORCHRUN = ("pytorch", "huggingface")

# For editors, what the `_one_program` validators check.
PROGRAMS = ("algorithm", "framework", "image", "build")
_ONE_PROGRAM: JsonDict = {
    "oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in PROGRAMS]
}
ChannelOrSource = Annotated[ChannelSpec, BeforeValidator(_channel_short_form, json_schema_input_type=str | ChannelSpec)]
CheckpointsOrTrue = Annotated[
    CheckpointsSpec | None,
    BeforeValidator(_checkpoints_short_form, json_schema_input_type=bool | CheckpointsSpec | None),
]


class TrainingJob(DocumentSpec):
    """A model to train once, identified by its name and version."""

    model_config = ConfigDict(json_schema_extra=_ONE_PROGRAM)

    kind: Literal["TrainingJob"] = Field(examples=["TrainingJob"])
    """What this document describes."""
    name: Name = Field(examples=["churn"])
    """Name of the job and of the model it produces."""
    version: Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1])]
    """Immutable once trained: to change the job, raise the version."""
    like: Annotated[str, Field(min_length=3, max_length=80, examples=["churn@1"])] | None = None
    """Another job of the specs, job@version, from which this one has all that it does not say itself: docs/jobs.md."""
    algorithm: Name | None = None
    """A built-in algorithm: the name of its folder in images/."""
    framework: Name | None = None
    """A framework that runs your own script: sklearn, xgboost, pytorch, tensorflow, …"""
    image: ImageName | None = None
    """Your own container image, which accepts `train` (and `serve`) as its command."""
    build: BuildOrContext | None = None
    """A folder with the Dockerfile for such a container; a plain string is short for {context: …}."""
    entry_point: EntryPoint | None = None
    """The script to run, relative to source_dir; without source_dir, a single file relative to the spec's file."""
    source_dir: Source | None = None
    """The folder with the script and what it imports (relative to the spec's file), or s3://…/sourcedir.tar.gz.
    A `.sagespecignore` in it names what is no code."""
    distribution: Literal["torch_distributed", "multi_worker_mirrored_strategy"] | None = None
    """How the script is launched on several containers: with torchrun, or with TF_CONFIG."""
    entrypoint: Annotated[tuple[Word, ...], Field(strict=False, max_length=100)] = ()
    """Replaces the image's entrypoint (SageMaker's ContainerEntrypoint); `train` is then not passed."""
    arguments: Annotated[tuple[Word, ...], Field(strict=False, max_length=100)] = ()
    """Arguments to pass instead of `train` (SageMaker's ContainerArguments)."""
    hyperparameters: dict[HyperparameterName, Hyperparameter] = Field(default_factory=dict, max_length=100)
    """Passed to the container as strings, as in SageMaker."""
    channels: dict[ChannelName, ChannelOrSource] = Field(
        default_factory=dict, max_length=20, examples=[{"train": "../data/train.csv"}], json_schema_extra=NO_OTHER_NAMES
    )
    """Input data by channel name; a plain string is short for {source: …}."""
    input_mode: InputMode = "file"
    """How data reaches the containers: file (all of it there before the start), fastfile (the same path, not copied if
    it can be mounted), or pipe (a FIFO for each channel and epoch)."""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of containers that train together."""
    network: Literal["project", "none"] = "project"
    """`none` cuts the containers off from all networks (SageMaker's EnableNetworkIsolation): the hosts of the job reach
    each other, and nothing else. Needs Docker."""
    resources: Resources = Resources()
    """Limits for each container."""
    environment: dict[EnvironmentName, TrainingValue] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Environment variables for the containers: text, or {secret: NAME} of a secret that sagespec.yaml names."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False, max_length=40)] = ()
    """Numbers to extract from what the containers print, in addition to those a built-in declares."""
    checkpoints: CheckpointsOrTrue = None
    """Keep a folder of checkpoints from which a retried or killed job resumes; `true` is short for {}."""
    stopping: Stopping = Stopping()
    """When to stop the job if it has not finished."""
    retries: Annotated[int, Field(ge=0, le=30)] = 2
    """How many times the job is restarted after a fault of the platform (never after one of the algorithm)."""
    imported_from: ImportOrSource | None = None
    """A model.tar.gz that was trained elsewhere: it is imported as this version, which nothing trains then
    ([jobs.md](jobs.md#models-that-were-trained-elsewhere)). A plain string is short for {source: …}."""
    protect: bool = False
    """Recorded in the manifest when the job is trained: `sagespec gc` then keeps its model."""
    retrain: Retrain | None = None
    """When to train it once more, as its next version: [retraining.md](retraining.md)."""

    @model_validator(mode="after")
    def _one_program(self) -> TrainingJob:
        given = [name for name in PROGRAMS if getattr(self, name)]
        if len(given) != 1:
            said = " and ".join(given) if given else "none"
            raise wrong(
                f"needs exactly one of algorithm, framework, image and build, has {said}",
                "name a built-in (algorithm: xgboost), a framework for your script (framework: pytorch), "
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
                raise wrong("is only for your own containers (image, build)", "remove it", at=(name,))
        if self.source_dir and self.source_dir.startswith("s3://") and not self.source_dir.endswith(".tar.gz"):
            what = f"{quoted(self.source_dir)} is not an archive"
            raise wrong(what, "name a sourcedir.tar.gz, or a folder on this machine", at=("source_dir",))
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
                what = "has no effect: every container gets all objects, as files"
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

    @model_validator(mode="after")
    def _is_trained_or_imported(self) -> TrainingJob:
        if self.imported_from and self.retrain:
            fix = "remove it, or write the next version, which is trained, without imported_from"
            raise wrong("does not go with imported_from: nothing trains this version", fix, at=("retrain",))
        return self

    @model_validator(mode="after")
    def _watches_its_channels(self) -> TrainingJob:
        for number, name in enumerate(self.retrain.on_data if self.retrain else ()):
            if name not in self.channels:
                has = f"name one of {', '.join(self.channels)}" if self.channels else "the job has no channels"
                raise wrong(f"the job has no channel {name}", has, at=("retrain", "on_data", number))
        return self

    @model_validator(mode="after")
    def _columns_fit(self) -> TrainingJob:
        columns.check_job(self.channels, self.algorithm, self.input_mode)
        return self
