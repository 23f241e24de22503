"""What is wanted: the jobs and endpoints of the specs, with everything found that they refer to.

`resolve` makes it from specs, `desired_endpoint` also from a revision; `reconcile` compares it with `Observed`, and the
actions of a plan carry its parts to `run` and `serve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sagespec.errors import Origin
from sagespec.spec.document import Update
from sagespec.spec.gate import Gate
from sagespec.spec.secrets import SecretUse
from sagespec.state.addresses import Address, endpoint_address, job_address, notebook_address
from sagespec.state.doors import Doors
from sagespec.state.hashes import hash_of, with_model
from sagespec.state.programs import Program
from sagespec.state.revision import EndpointRecord, ModelRecord, VariantRecord, fields_by_update


@dataclass(frozen=True)
class DesiredChannel:
    """One input of a job. `source` is s3://bucket/prefix, or a path: absolute, or relative to the project's root.

    is_manifest: whether the source lists the data instead of being them. shuffle_seed: None leaves the order alone.
    """

    name: str
    source: str
    content_type: str | None = None
    sharded: bool = False
    input_mode: Literal["file", "fastfile", "pipe"] = "file"
    is_manifest: bool = False
    gzip: bool = False
    recordio: bool = False
    shuffle_seed: int | None = None
    writable: bool = False


@dataclass(frozen=True)
class DesiredColumns:
    """What the spec says of the columns of a job's channels, by their names. target: '' for none."""

    target: str = ""
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


@dataclass(frozen=True)
class DesiredCode:
    """The script of a job. `source` is a folder, a file, or s3://…/sourcedir.tar.gz, held as channels hold theirs;
    `entry_point` the script's path inside it; `fingerprint` a hash of what is there."""

    entry_point: str
    source: str
    fingerprint: str


@dataclass(frozen=True)
class DesiredCheckpoints:
    """path: the folder under /opt/ml, e.g. `checkpoints`. source: where they are kept; '' for the job's place in
    the store."""

    path: str
    source: str = ""


@dataclass(frozen=True)
class DesiredJob:
    """One (name, version) to be trained. `key_fields` is what `key` hashes: field path -> value.

    metrics: (name, regex) pairs of the spec, beside those of a built-in. max_wait_seconds: from the first moment it
    could have run, waiting for its turn included; None without a limit.
    """

    name: str
    version: int
    key: str
    key_fields: Mapping[str, Any] = field(repr=False)  # may hold secrets, as all that is not in the repr
    program: Program
    hyperparameters: Mapping[str, Any] = field(repr=False)
    channels: tuple[DesiredChannel, ...]
    instances: int
    environment: Mapping[str, str | SecretUse] = field(repr=False)
    cpus: float | None
    memory: int | None
    max_runtime_seconds: float
    protect: bool
    spec: Mapping[str, Any] = field(repr=False)  # as written, but build.context from the root; for the manifest
    origin: Origin | None = field(default=None, compare=False)  # a spec that moved in its file is the same
    field_origins: Mapping[str, Origin] = field(
        default_factory=dict, compare=False
    )  # field path -> place, for refusals
    files: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict, compare=False, repr=False
    )  # behind the fields `code` and `build`: short hashes by path
    code: DesiredCode | None = None
    distribution: str = ""
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = field(default=(), repr=False)
    gpus: int = 0
    metrics: tuple[tuple[str, str], ...] = ()
    checkpoints: DesiredCheckpoints | None = None
    max_wait_seconds: float | None = None
    retries: int = 0
    isolated: bool = False
    columns: DesiredColumns | None = None  # None: the columns of its channels have no names
    imported_from: str = ""  # an archive, from the root or s3://: it is imported, and never trained
    imported_metrics: Mapping[str, float] = field(default_factory=dict)
    like: Address | None = field(default=None, compare=False)  # the job from which it has what it does not say itself

    @property
    def address(self) -> Address:
        return job_address(self.name, self.version)


@dataclass(frozen=True)
class JobModel:
    """The model that a job trained. identity: the job's address and key; another identity is another model, as is
    another sha256: the job was trained again. That is UNTRAINED before it is, and '' where no record tells. alias: what
    the spec has for the version."""

    text: str  # churn@3
    identity: str
    job: Address
    sha256: str = ""
    alias: str = field(default="", compare=False)


@dataclass(frozen=True)
class ArchiveModel:
    """A model.tar.gz of the user's. identity: its place and a fingerprint of its content."""

    text: str  # as written: ./model.tar.gz, s3://…/model.tar.gz
    identity: str
    uri: str


DesiredModel = JobModel | ArchiveModel


@dataclass(frozen=True)
class DesiredVariant:
    name: str
    model: DesiredModel
    program: Program
    weight: float
    instances: int
    environment: Mapping[str, str | SecretUse] = field(repr=False)
    cpus: float | None
    memory: int | None
    hash: str  # over the fields of update class REPLACE, with the checksum of a job's model and the secrets' versions
    fields: Mapping[Update, Mapping[str, Any]] = field(repr=False)  # requested values, by what changing them does
    gpus: int = 0
    restart: int = 0
    accelerate: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)  # their versions by name, if all could be asked

    @property
    def job(self) -> Address | None:
        """The job whose model it serves; None for an archive."""
        return self.model.job if isinstance(self.model, JobModel) else None

    @property
    def model_name(self) -> str:
        """What answers say has made them: churn@3; '' for an archive, whose place is nobody else's business."""
        return f"{self.job.name}@{self.job.version}" if self.job else ""


@dataclass(frozen=True)
class DesiredEndpoint:
    """gate: what a model must have measured before it gets traffic; of a spec alone, no revision keeps it."""

    name: str
    variants: tuple[DesiredVariant, ...]
    healthy_within_seconds: float
    min_healthy_seconds: float
    drain_within_seconds: float
    protect: bool
    hash: str  # over what `record` says of the spec: what a revision is known by
    record: EndpointRecord  # all of the above, as a revision keeps it
    origin: Origin | None = field(default=None, compare=False)
    field_origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)  # of its spec
    gate: Gate | None = None

    @property
    def address(self) -> Address:
        return endpoint_address(self.name)

    def variant(self, name: str) -> DesiredVariant | None:
        return next((variant for variant in self.variants if variant.name == name), None)


def desired_endpoint(name: str, record: EndpointRecord, origin: Origin | None = None) -> DesiredEndpoint:
    """The endpoint that `record` describes: from a spec by `resolve`, or from a revision in the store."""
    split = ", ".join(f"{variant.name} {variant.weight:g}" for variant in record.variants)
    rollout = record.rollout
    return DesiredEndpoint(
        name=name,
        variants=tuple(
            _desired_variant(variant, split if rollout.replace == "always" else None) for variant in record.variants
        ),
        healthy_within_seconds=rollout.healthy_within,
        min_healthy_seconds=rollout.min_healthy,
        drain_within_seconds=rollout.drain_within,
        protect=record.protect,
        hash=hash_of(record.spec_as_json()),
        record=record,
        origin=origin,
    )


def _desired_model(record: ModelRecord) -> DesiredModel:
    if record.job:
        return JobModel(record.text, record.identity, Address.parse(record.job), record.sha256, record.alias)
    return ArchiveModel(record.text, record.identity, record.uri)


def _desired_variant(record: VariantRecord, split: str | None) -> DesiredVariant:
    fields = fields_by_update(record)
    if split is not None:
        fields[Update.REPLACE]["split"] = split
    return DesiredVariant(
        name=record.name,
        model=_desired_model(record.model),
        program=record.program,
        weight=record.weight,
        instances=record.instances,
        environment=record.environment,
        cpus=record.cpus,
        memory=record.memory,
        gpus=record.gpus,
        restart=record.restart,
        accelerate=record.accelerate,
        hash=with_model(hash_of(fields[Update.REPLACE]), record.model.sha256, record.secrets),
        secrets=record.secrets,
        fields=fields,
    )


@dataclass(frozen=True)
class DesiredNotebook:
    """A JupyterLab. folder, on_start: paths from the project's root, or absolute; on_start '' for none. idle_seconds: 0
    for one that never stops. hash: over all but is_to_run, and with the content of on_start."""

    name: str
    folder: str
    is_to_run: bool
    idle_seconds: float
    on_start: str
    packages: tuple[str, ...]
    program: Program
    environment: Mapping[str, str | SecretUse] = field(repr=False)
    cpus: float | None
    memory: int | None
    gpus: int
    hash: str
    origin: Origin | None = field(default=None, compare=False)

    @property
    def address(self) -> Address:
        return notebook_address(self.name)


@dataclass(frozen=True)
class Desired:
    project_name: str
    jobs: tuple[DesiredJob, ...] = ()
    endpoints: tuple[DesiredEndpoint, ...] = ()
    notebooks: tuple[DesiredNotebook, ...] = ()
    gateway_hash: str = ""
    doors: Doors | None = None  # of the gateway; None: whoever may ask now
    parallel_jobs: int = 2
    max_removals: int | None = None  # that a run may make at once; None: any number
    rejected: Mapping[Address, str] = field(default_factory=dict)  # jobs whose models are not to be used, and why
    environment: str = ""
    models_from: str = ""  # in words: where models are trained that are copied here; '' for nowhere
    trains: bool = True

    def job(self, address: Address) -> DesiredJob | None:
        return next((job for job in self.jobs if job.address == address), None)

    def is_edited(self, about: Address, since: Desired | None) -> bool:
        """Whether the spec of this job or endpoint is another one than it was before."""
        return since is not None and self._specs.get(about) != since._specs.get(about)

    @property
    def _specs(self) -> dict[Address, str]:
        hashes = {job.address: job.key for job in self.jobs} | {e.address: e.hash for e in self.endpoints}
        return hashes | {n.address: f"{n.hash} {n.is_to_run}" for n in self.notebooks}
