"""The two sides that are compared: what is wanted (`Desired`) and what is there (`Observed`).

Plain frozen values with the names, labels and hashes by which the two find each other. `resolve`
makes the first, `observe` the second, `reconcile` reads both. Nothing here touches the world.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from sagespec.errors import Origin
from sagespec.manifest import Manifest, Revision

# -- addresses -------------------------------------------------------------------------------------

Kind = Literal["job", "endpoint", "gateway"]
_ADDRESS = re.compile(
    r"^(?P<kind>job|endpoint|gateway)"
    r"(?:/(?P<name>[a-zA-Z0-9-]+)(?:@(?P<version>\d+))?(?:/(?P<variant>[a-zA-Z0-9-]+))?(?:#(?P<instance>\d+))?)?$"
)


@dataclass(frozen=True, order=True)
class Address:
    """How everything is named: `job/churn@3`, `endpoint/churn`, `endpoint/churn/candidate#0`, `gateway`.

    `instance` counts from 0 and is None for the whole; host algo-1 of a job is instance 0.

    >>> str(Address.parse("endpoint/churn/candidate#0"))
    'endpoint/churn/candidate#0'
    """

    kind: Kind
    name: str = ""
    version: int = 0
    variant: str = ""
    instance: int | None = None

    def __str__(self) -> str:
        text = self.kind + (f"/{self.name}" if self.name else "")
        text += f"@{self.version}" if self.version else ""
        text += f"/{self.variant}" if self.variant else ""
        return text + (f"#{self.instance}" if self.instance is not None else "")

    @staticmethod
    def parse(text: str) -> Address:
        """The address written as `text`; ValueError when it is none."""
        match = _ADDRESS.match(text)
        if (
            not match
            or (match["kind"] != "gateway") != bool(match["name"])
            or (match["kind"] == "job") != bool(match["version"])
        ):
            raise ValueError(f"{text!r} is not an address")
        instance = match["instance"]
        return Address(
            match["kind"],  # type: ignore[arg-type]  # the pattern admits the three kinds alone
            match["name"] or "",
            int(match["version"] or 0),
            match["variant"] or "",
            int(instance) if instance is not None else None,
        )

    @property
    def whole(self) -> Address:
        """The job, endpoint or gateway this is a part of."""
        return Address(self.kind, self.name, self.version)

    @property
    def is_companion(self) -> bool:
        """Whether this is no host of its job, but runs beside one: job/churn@3/feeder#0."""
        return self.kind == "job" and bool(self.variant)


GATEWAY = Address("gateway")


def job_address(name: str, version: int) -> Address:
    return Address("job", name, version)


def endpoint_address(name: str) -> Address:
    return Address("endpoint", name)


# -- labels and hashes -----------------------------------------------------------------------------

LABEL_PROJECT = "sagespec.project"
LABEL_KIND = "sagespec.kind"
LABEL_NAME = "sagespec.name"
LABEL_VERSION = "sagespec.version"
LABEL_KEY = "sagespec.key"
LABEL_VARIANT = "sagespec.variant"
LABEL_INSTANCE = "sagespec.instance"
LABEL_HASH = "sagespec.hash"
LABEL_CPUS = "sagespec.cpus"
LABEL_MEMORY = "sagespec.memory"
LABEL_GPUS = "sagespec.gpus"

HASH_FORMAT = 1


def hash_of(value: Any) -> str:
    """`<format>-<16 hex digits>` over the canonical JSON of `value`.

    The format number lets a later release hash differently and still compare what an earlier one
    made by the earlier rule, so that an upgrade replaces nobody's containers.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{HASH_FORMAT}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def same_hash(wanted: str, live: str) -> bool:
    """Whether `live` stands for what `wanted` asks; one of another format counts as the same.

    What a newer or older release made cannot be compared here, and replacing it on a guess would be
    the worse mistake.
    """
    return wanted == live or wanted.partition("-")[0] != live.partition("-")[0]


def labels_of(project_name: str, address: Address, hash_text: str) -> dict[str, str]:
    """The labels of one container; a job's hash is its key."""
    labels = {
        LABEL_PROJECT: project_name,
        LABEL_KIND: address.kind,
        LABEL_NAME: address.name,
        LABEL_VERSION: str(address.version) if address.version else "",
        LABEL_VARIANT: address.variant,
        LABEL_INSTANCE: "" if address.instance is None else str(address.instance),
        LABEL_KEY if address.kind == "job" else LABEL_HASH: hash_text,
    }
    return {label: text for label, text in labels.items() if text}


def resource_labels(cpus: float | None, memory: int | None, gpus: Sequence[str]) -> dict[str, str]:
    """What a container was given, as labels: a list of containers tells nothing else of it."""
    labels = {
        LABEL_CPUS: "" if cpus is None else f"{cpus:g}",
        LABEL_MEMORY: "" if memory is None else str(memory),
        LABEL_GPUS: ",".join(gpus),
    }
    return {label: text for label, text in labels.items() if text}


def resources_from_labels(labels: Mapping[str, str]) -> tuple[float | None, int | None, tuple[str, ...]]:
    """CPUs, bytes of memory and ids of GPUs; None and () where a label is missing or damaged."""
    cpus, memory = labels.get(LABEL_CPUS, ""), labels.get(LABEL_MEMORY, "")
    return (
        float(cpus) if re.fullmatch(r"\d+(\.\d+)?", cpus) else None,
        int(memory) if memory.isdecimal() else None,
        tuple(gpu for gpu in labels.get(LABEL_GPUS, "").split(",") if gpu),
    )


def address_from_labels(labels: Mapping[str, str]) -> tuple[Address, str] | None:
    """Address and hash of a container from its labels; None when they are not ours or are damaged."""
    kind = labels.get(LABEL_KIND, "")
    try:
        instance = labels.get(LABEL_INSTANCE)
        address = Address(
            kind,  # type: ignore[arg-type]  # checked on the next line
            labels.get(LABEL_NAME, ""),
            int(labels.get(LABEL_VERSION, 0)),
            labels.get(LABEL_VARIANT, ""),
            int(instance) if instance is not None else None,
        )
        Address.parse(str(address))
    except ValueError:
        return None
    return address, labels.get(LABEL_KEY if kind == "job" else LABEL_HASH, "")


def container_name(project_name: str, address: Address, hash_text: str) -> str:
    """The one name a container can have: a repeated create finds it instead of doubling it.

    Names are case-sensitive in the engines, hold only what Docker allows, and end in part of the
    hash, so that old and new instances of a variant stand side by side.
    """
    parts = ["sagespec", project_name, address.kind, address.name]
    parts += [f"v{address.version}"] if address.version else []
    parts += [address.variant] if address.variant else []
    parts += [str(address.instance)] if address.instance is not None else []
    return "_".join(part for part in [*parts, hash_text.partition("-")[2][:12]] if part)


# -- programs --------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Program:
    """What runs in a container: a folder of images/ (`builtin`), a container image of the user's (`image`), or a
    folder from which the engine builds one (`build`).

    build: the folder as sources are held: relative to the project's root, or absolute. context: the hash of what is
    in it, of the Dockerfile's name and of the arguments. digest: what the engine knew `image` by when a version was
    trained with it, for whoever serves that version; it decides nothing, so it is in no hash.
    """

    builtin: str = ""
    image: str = ""
    build: str = ""
    context: str = ""
    dockerfile: str = ""
    args: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    def __str__(self) -> str:
        return self.builtin or self.image or f"{self.build}@{self.context}"

    @property
    def is_users_own(self) -> bool:
        """Whether it was not made by us: no built-in."""
        return not self.builtin

    def as_json(self) -> dict[str, Any]:
        """Plain data, as revisions keep it; what is not set is left out, but for the two oldest fields."""
        more = {"build": self.build, "context": self.context, "dockerfile": self.dockerfile, "args": dict(self.args)}
        more["digest"] = self.digest
        return {"builtin": self.builtin, "image": self.image} | {name: value for name, value in more.items() if value}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Program:
        return Program(**{**value, "args": tuple(sorted(dict(value.get("args", ())).items()))})


# -- desired ---------------------------------------------------------------------------------------


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

    metrics: (name, regex) pairs of the spec, beside those of a built-in. max_wait: seconds from the first moment it
    could have run, waiting for its turn included; None without a limit.
    """

    name: str
    version: int
    key: str
    key_fields: Mapping[str, Any]
    program: Program
    hyperparameters: Mapping[str, Any]
    channels: tuple[DesiredChannel, ...]
    instances: int
    environment: Mapping[str, str]
    cpus: float | None
    memory: int | None
    max_runtime: float
    protect: bool
    spec: Mapping[str, Any]  # as written, but build.context from the project's root; for the manifest
    origin: Origin | None = None
    field_origins: Mapping[str, Origin] = field(default_factory=dict)  # field path -> place, for refusals
    code: DesiredCode | None = None
    distribution: str = ""
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    gpus: int = 0
    metrics: tuple[tuple[str, str], ...] = ()
    checkpoints: DesiredCheckpoints | None = None
    max_wait: float | None = None
    retries: int = 0

    @property
    def address(self) -> Address:
        return job_address(self.name, self.version)


@dataclass(frozen=True)
class DesiredModel:
    """What a variant serves: a job's model (`job` set) or an artifact (`uri` set), never both.

    `identity` is what decides whether two are the same model: the job's address and key, or the
    artifact's address and fingerprint.
    """

    text: str  # as written: churn@3, s3://…/model.tar.gz
    identity: str
    job: Address | None = None
    uri: str = ""


@dataclass(frozen=True)
class DesiredVariant:
    name: str
    model: DesiredModel
    program: Program
    weight: float
    instances: int
    environment: Mapping[str, str]
    cpus: float | None
    memory: int | None
    hash: str  # over `replace_fields`
    replace_fields: Mapping[str, Any]  # those of update class REPLACE, so that a change can be named
    gpus: int = 0


@dataclass(frozen=True)
class DesiredEndpoint:
    name: str
    variants: tuple[DesiredVariant, ...]
    healthy_within: float
    min_healthy: float
    drain_within: float
    protect: bool
    hash: str  # over everything asked: what a revision is known by
    asked: Mapping[str, Any]  # the same as JSON, kept in the revision; `endpoint_from_asked` reads it back
    origin: Origin | None = None

    @property
    def address(self) -> Address:
        return endpoint_address(self.name)

    def variant(self, name: str) -> DesiredVariant | None:
        return next((variant for variant in self.variants if variant.name == name), None)


def endpoint_from_asked(name: str, asked: Mapping[str, Any], origin: Origin | None = None) -> DesiredEndpoint:
    """The endpoint that `asked` describes: from a spec by `resolve`, or from a revision in the store.

    asked: {variants: [{name, model: {text, identity, job, uri}, program: Program.as_json, weight,
    instances, environment, cpus, memory, gpus if any}], rollout: {healthy_within, min_healthy, drain_within,
    replace}, protect}.
    """
    split = ", ".join(f"{variant['name']} {variant['weight']:g}" for variant in asked["variants"])
    rollout = asked["rollout"]
    return DesiredEndpoint(
        name=name,
        variants=tuple(
            _variant_from_asked(variant, split if rollout["replace"] == "always" else None)
            for variant in asked["variants"]
        ),
        healthy_within=rollout["healthy_within"],
        min_healthy=rollout["min_healthy"],
        drain_within=rollout["drain_within"],
        protect=asked["protect"],
        hash=hash_of(asked),
        asked=asked,
        origin=origin,
    )


def _variant_from_asked(asked: Mapping[str, Any], split: str | None) -> DesiredVariant:
    model, program = asked["model"], Program.from_json(asked["program"])
    replace_fields = {
        "model": model["identity"],
        "program": str(program),
        "environment": asked["environment"],
        "cpus": asked["cpus"],
        "memory": asked["memory"],
    }
    if asked.get("gpus"):
        replace_fields["gpus"] = asked["gpus"]
    if split is not None:
        replace_fields["split"] = split
    return DesiredVariant(
        name=asked["name"],
        model=DesiredModel(
            text=model["text"],
            identity=model["identity"],
            job=Address.parse(model["job"]) if model["job"] else None,
            uri=model["uri"],
        ),
        program=program,
        weight=asked["weight"],
        instances=asked["instances"],
        environment=asked["environment"],
        cpus=asked["cpus"],
        memory=asked["memory"],
        gpus=asked.get("gpus", 0),
        hash=hash_of(replace_fields),
        replace_fields=replace_fields,
    )


@dataclass(frozen=True)
class Desired:
    project_name: str
    jobs: tuple[DesiredJob, ...] = ()
    endpoints: tuple[DesiredEndpoint, ...] = ()
    gateway_hash: str = ""
    parallel_jobs: int = 2

    def job(self, address: Address) -> DesiredJob | None:
        return next((job for job in self.jobs if job.address == address), None)


# -- observed --------------------------------------------------------------------------------------


class ContainerState(StrEnum):
    CREATED = "created"  # made, never started
    RUNNING = "running"
    RESTARTING = "restarting"
    EXITED = "exited"


@dataclass(frozen=True, order=True)
class Container:
    """One container (or supervised process) of this project. `host:port` is where the gateway reaches it.

    `exit_code` is set when the state is EXITED; `restarts` counts the engine's restarts where the
    engine tells (0 otherwise). started_at: in a list of all, the time of creation may stand for it.
    note: what else the engine says of its end, e.g. that it ran out of memory; told by `inspect` alone, as are
    signals: numbers of those it was sent through its engine before it ended, by us or by others.
    cpus, memory and gpus: what it was given; of GPUs the ids, which nobody else has while it is there.
    """

    name: str
    address: Address
    hash: str
    state: ContainerState
    exit_code: int | None = None
    host: str = ""
    port: int = 0
    restarts: int = 0
    started_at: datetime | None = field(default=None, compare=False)  # told more or less exactly
    note: str = ""
    signals: tuple[int, ...] = ()
    cpus: float | None = field(default=None, compare=False)
    memory: int | None = field(default=None, compare=False)
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Capacity:
    """What an engine has for all its containers: CPUs, bytes of memory, and its GPUs by id."""

    cpus: float
    memory: int
    gpus: tuple[str, ...] = ()

    def __str__(self) -> str:
        gpus = f"GPUs {', '.join(self.gpus)}" if self.gpus else "no GPUs"
        return f"{self.cpus:g} CPUs, {self.memory / 2**30:.1f} GiB, {gpus}"


@dataclass(frozen=True, order=True)
class Target:
    """One set of equal instances behind an endpoint: a variant at one hash. An Envoy cluster.

    instances: names of containers that may take requests; draining: those that only finish theirs.
    A target of weight 0 gets requests by TargetVariant alone.
    """

    variant: str
    hash: str
    weight: float
    instances: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """Where an endpoint's requests go. `targets` is sorted."""

    endpoint: str
    targets: tuple[Target, ...]

    def target(self, variant: str, hash_text: str) -> Target | None:
        return next((t for t in self.targets if (t.variant, t.hash) == (variant, hash_text)), None)


@dataclass(frozen=True)
class Probe:
    """What the gateway knows of one container it was told about."""

    healthy: bool
    active_requests: int = 0
    host: str = ""
    port: int = 0


@dataclass(frozen=True)
class ObservedGateway:
    """routes by endpoint name; probes by container name. `answers` is False when it could not be asked."""

    answers: bool = False
    routes: Mapping[str, Route] = field(default_factory=dict)
    probes: Mapping[str, Probe] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """One snapshot. manifests by job address; revisions by endpoint name, oldest first, ending in the newest
    and reaching back at least to the newest live one. capacity: asked for only when a job that is to run states
    what it needs; None otherwise."""

    containers: tuple[Container, ...] = ()
    gateway: ObservedGateway = ObservedGateway()
    manifests: Mapping[Address, Manifest] = field(default_factory=dict)
    revisions: Mapping[str, tuple[Revision, ...]] = field(default_factory=dict)
    capacity: Capacity | None = None

    def containers_of(self, address: Address) -> tuple[Container, ...]:
        """Containers that belong to the job, endpoint or gateway at `address`, companions too, sorted by name."""
        return self._by_whole.get(address, ())

    @property
    def _by_whole(self) -> Mapping[Address, tuple[Container, ...]]:
        cached: Mapping[Address, tuple[Container, ...]] | None = self.__dict__.get("_index")
        if cached is None:
            grouped: dict[Address, list[Container]] = {}
            for container in self.containers:
                grouped.setdefault(container.address.whole, []).append(container)
            cached = {address: tuple(sorted(group, key=lambda c: c.name)) for address, group in grouped.items()}
            object.__setattr__(self, "_index", cached)
        return cached


# -- what a runtime is asked to make -----------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Mount:
    """What a container sees at `path` (below /opt/ml) that is not its own.

    source: a folder of this machine, shown read-only. volume: a name instead; all containers that name it share one
    folder and may write there, and it goes with the last of them.
    """

    path: str
    source: str = ""
    volume: str = ""


@dataclass(frozen=True)
class Launch:
    """One container to be created. `command` is the word it is run with: train or serve.

    entrypoint: replaces the image's; arguments: replace the word. With either, the word is left out, as SageMaker
    does for ContainerEntrypoint and ContainerArguments.
    hosts: for a job, the container names of all its hosts in order (algo-1 first), so that they can
    reach each other by those names; alias: this one's own host name, e.g. algo-1.
    keep_running: restarted by the engine when it dies (serving), or left exited (training).
    publish: (address, port) on the engine's machine, for the gateway alone.
    gpus: how many it gets for itself alone; the runtime chooses which.
    """

    name: str
    address: Address
    hash: str
    program: Program
    command: Literal["train", "serve"]
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory: int | None = None
    alias: str = ""
    hosts: tuple[str, ...] = ()
    keep_running: bool = False
    publish: tuple[str, int] | None = None
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    gpus: int = 0

    @property
    def words(self) -> list[str]:
        """What the entrypoint is called with."""
        return list(self.arguments) if self.entrypoint or self.arguments else [self.command]
