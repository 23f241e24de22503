"""What exists: containers, the gateway's routes and probes, manifests, revisions.

`observe` takes one snapshot; `reconcile` compares it with `Desired`, and `status` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from sagespec.errors import Problem
from sagespec.state.addresses import Address
from sagespec.state.counts import Reading
from sagespec.state.doors import NO_DOORS, Doors
from sagespec.state.hashes import same_hash
from sagespec.state.limits import Limits
from sagespec.state.manifest import AttemptsRecord, Manifest
from sagespec.state.owner import Owner
from sagespec.state.programs import Program
from sagespec.state.progress import AbortRequest, Progress, PromoteRequest
from sagespec.state.revision import RemovalRequest, RestartRequest, RetryRequest, Revision, RollbackRequest
from sagespec.state.suspension import Suspension


class ContainerState(StrEnum):
    CREATED = "created"  # made, never started
    RUNNING = "running"
    RESTARTING = "restarting"
    EXITED = "exited"


@dataclass(frozen=True)
class Exit:
    """One end of a container's program. code, at: None when the engine no longer knows. note: what else it says of it,
    e.g. that it ran out of memory."""

    code: int | None
    at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, order=True)
class Container:
    """One container (or supervised process) of this project. `host:port` is where the gateway reaches it: an
    address, or a name; either stays for the container's life. host is '' for one that is off the project's network.

    `exit_code` is set when the state is EXITED, unless nobody can say any more how its program ended; `restarts` counts
    the engine's restarts since we started it, and last_exit is how its program ended last, whether it was started again
    or not; a list of all may lack both.
    started_at: of the last restart, or of the end after which the next one is waited for; in a list of all, the time
    of creation may stand for it.
    note: what else the engine says of its end, e.g. that it ran out of memory; reported by `inspect` alone, as are
    signals: numbers of those it was sent through its engine before it ended, by us or by others, and
    published: the port of the engine's machine that leads to it, running or not; 0 when there is none.
    owner: whose it is, where the engine is shared by several checkouts.
    cpus, memory and gpus: what it was given; of GPUs the ids, which nobody else has while it is there.
    limits: CPUs and bytes of memory that it may use now, whoever has set them, None for no limit; reported by `inspect`
    alone, and not where there are none.
    image: what it runs, by a name that means nothing else now, or by id; '' where that is not known, or not reported.
    node: the machine that it is on, or was last; '' where the engine has one machine, and before one is chosen.
    """

    name: str
    address: Address
    hash: str
    state: ContainerState
    exit_code: int | None = None
    host: str = ""
    port: int = 0
    restarts: int = 0
    started_at: datetime | None = field(default=None, compare=False)  # reported more or less exactly
    note: str = ""
    signals: tuple[int, ...] = ()
    cpus: float | None = field(default=None, compare=False)
    memory: int | None = field(default=None, compare=False)
    gpus: tuple[str, ...] = ()
    published: int = field(default=0, compare=False)
    last_exit: Exit | None = field(default=None, compare=False)
    owner: Owner | None = field(default=None, compare=False)
    image: str = field(default="", compare=False)
    limits: tuple[float | None, int | None] | None = field(default=None, compare=False)
    node: str = field(default="", compare=False)

    @property
    def is_on_network(self) -> bool:
        return bool(self.host)

    @property
    def is_lost(self) -> bool:
        """Whether nobody can say how it ended: its machine is away, or was. Its files may be out of reach."""
        return self.state is ContainerState.EXITED and self.exit_code is None


@dataclass(frozen=True)
class NodeCapacity:
    """What one machine has for containers."""

    name: str
    cpus: float
    memory: int
    gpus: tuple[str, ...] = ()

    def __str__(self) -> str:
        gpus = f"GPUs {', '.join(self.gpus)}" if self.gpus else "no GPUs"
        return f"{self.cpus:g} CPUs, {self.memory / 2**30:.1f} GiB, {gpus}"


@dataclass(frozen=True)
class Capacity:
    """What an engine has for all its containers: CPUs, bytes of memory, and its GPUs by id. nodes: the machines that it
    has all that on, where they are several: a container is on one of them."""

    cpus: float
    memory: int
    gpus: tuple[str, ...] = ()
    nodes: tuple[NodeCapacity, ...] = ()

    @classmethod
    def of(cls, nodes: Sequence[NodeCapacity]) -> Capacity:
        gpus = sorted(gpu for node in nodes for gpu in node.gpus)
        return cls(sum(node.cpus for node in nodes), sum(node.memory for node in nodes), tuple(gpus), tuple(nodes))

    @property
    def machines(self) -> tuple[NodeCapacity, ...]:
        return self.nodes or (NodeCapacity("", self.cpus, self.memory, self.gpus),)

    def __str__(self) -> str:
        total = str(NodeCapacity("", self.cpus, self.memory, self.gpus))
        return f"{total} on {len(self.nodes)} nodes" if len(self.nodes) > 1 else total


@dataclass(frozen=True, order=True)
class Target:
    """One set of equal instances behind an endpoint: a variant at one hash. An Envoy cluster.

    instances: names of containers that may take requests; draining: those that only finish theirs.
    A target of weight 0 gets requests by TargetVariant alone. model: what answers say has made them, churn@3; '' where
    no job made it, and from an earlier release, which is no difference.
    """

    variant: str
    hash: str
    weight: float
    instances: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    model: str = field(default="", compare=False)


@dataclass(frozen=True)
class Route:
    """Where an endpoint's requests go. `targets` are in the order of the spec's variants, within one the earlier first.

    key: what of a request decides its target, e.g. `header x-user`, as the order then does; '' for chance.
    lends: whether a target without a healthy instance lends its share to the others. limits: None for no bounds.
    """

    endpoint_name: str
    targets: tuple[Target, ...]
    key: str = ""
    lends: bool = False
    limits: Limits | None = None

    def target(self, variant: str, hash_text: str) -> Target | None:
        return next((t for t in self.targets if (t.variant, t.hash) == (variant, hash_text)), None)


@dataclass(frozen=True)
class Probe:
    """What the gateway knows of one container it was given."""

    healthy: bool
    active_requests: int = 0
    host: str = ""
    port: int = 0


@dataclass(frozen=True)
class ObservedGateway:
    """routes by endpoint name; probes by container name; doors: who may ask. `answers` is False when it could not be
    asked."""

    answers: bool = False
    routes: Mapping[str, Route] = field(default_factory=dict)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    doors: Doors = NO_DOORS


@dataclass(frozen=True)
class Follower:
    """Who follows a job. by: for people; who: the same without its process and time. reads_our_specs: a run that
    reads the same files as this one."""

    by: str
    since: datetime
    is_ours: bool = False
    reads_our_specs: bool = False
    who: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """The place where models are trained that are copied here. manifests: of completed jobs that are not trained here.
    why_unknown: it could not be asked."""

    manifests: Mapping[Address, Manifest] = field(default_factory=dict)
    why_unknown: str = ""


@dataclass(frozen=True)
class Archive:
    """A model.tar.gz that is to be imported. checksum: `sha256 …`, or the `etag …` of an object in a bucket."""

    size: int
    checksum: str

    def __str__(self) -> str:
        kind, _, digits = self.checksum.partition(" ")
        return f"{self.size:,} bytes, {kind} {digits[:12]}"


EDITED = "edited"  # in place of the fingerprint of data that is too much to be read


@dataclass(frozen=True)
class Observed:
    """One snapshot. engine: where these containers are, for people. manifests by job address; revisions by endpoint
    name, oldest first, ending in the newest and reaching back at least to the newest live one. capacity: asked for only
    when a job that is to run states what it needs; None otherwise. followers: of jobs, alive, by address.
    stops: jobs that were asked to stop. rollbacks, removals, retries: asked for, by endpoint name. started_with: what
    is kept of jobs whose containers are of another spec than the present one, as far as it is known. attempts: at jobs
    that have containers, and a manifest of one that failed. leaving: names of containers that some run is stopping, or
    was. unable: jobs and endpoints that the engine could not start, with the reason. restarts: asked for, by what is to
    be restarted. images: what a program would be started from now, by the program, for those that serve; '' where
    that cannot be told. images_gone: of serving containers, no longer on the engine.
    edited_inputs: by failed job and channel, the fingerprint of data that is another than it failed with, or EDITED.
    assumed: jobs that only count as trained, so that what they have measured is not known.
    newest_versions: in the store, by the names of jobs that were edited. silent: names of the containers of notebooks
    that run and do not answer. rollouts: that are on their way, by endpoint name, with what is asked of them:
    promotions, aborts. counts: what the gateway has counted of their targets, by endpoint name and `variant/hash`; of
    one that is not there it could not be asked. suspensions: what somebody has suspended. elsewhere: where models are
    copied from; None: that was not asked. archives: of jobs that are to be imported, as far as they were asked."""

    containers: tuple[Container, ...] = ()
    engine: str = ""
    gateway: ObservedGateway = ObservedGateway()
    manifests: Mapping[Address, Manifest] = field(default_factory=dict)
    revisions: Mapping[str, tuple[Revision, ...]] = field(default_factory=dict)
    capacity: Capacity | None = None
    followers: Mapping[Address, Follower] = field(default_factory=dict)
    stops: frozenset[Address] = frozenset()
    rollbacks: Mapping[str, RollbackRequest] = field(default_factory=dict)
    removals: Mapping[str, RemovalRequest] = field(default_factory=dict)
    retries: Mapping[str, RetryRequest] = field(default_factory=dict)
    started_with: Mapping[Address, AttemptsRecord] = field(default_factory=dict)
    attempts: Mapping[Address, AttemptsRecord] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()
    unable: Mapping[Address, Problem] = field(default_factory=dict)
    restarts: Mapping[Address, RestartRequest] = field(default_factory=dict)
    images: Mapping[Program, str] = field(default_factory=dict)
    images_gone: frozenset[str] = frozenset()
    edited_inputs: Mapping[Address, Mapping[str, str]] = field(default_factory=dict)
    newest_versions: Mapping[str, int] = field(default_factory=dict)
    assumed: frozenset[Address] = frozenset()
    silent: frozenset[str] = frozenset()
    rollouts: Mapping[str, Progress] = field(default_factory=dict)
    promotions: Mapping[str, PromoteRequest] = field(default_factory=dict)
    aborts: Mapping[str, AbortRequest] = field(default_factory=dict)
    suspensions: tuple[Suspension, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    archives: Mapping[Address, Archive] = field(default_factory=dict)

    def rollout_of(self, endpoint_name: str) -> Progress | None:
        """Its rollout that has begun and not ended."""
        return self.rollouts.get(endpoint_name)

    def containers_of(self, address: Address) -> tuple[Container, ...]:
        """Containers that belong to the job, endpoint or gateway at `address`, companions too, sorted by name."""
        return self._by_whole.get(address, ())

    def unrecorded(self, job: Address) -> tuple[Container, ...]:
        """Containers of an attempt that the job's manifest does not know. No clock tells: those of the machines that
        wrote the manifest and of the engine may differ."""
        manifest, record = self.manifests.get(job), self.attempts.get(job)
        if record is None or not record.attempts:
            return ()
        if manifest and record.attempts[-1].started_at in {attempt.started_at for attempt in manifest.attempts}:
            return ()
        return tuple(c for c in self.containers_of(job) if same_hash(record.key, c.hash))

    @cached_property
    def _by_whole(self) -> Mapping[Address, tuple[Container, ...]]:
        grouped: dict[Address, list[Container]] = {}
        for container in self.containers:
            grouped.setdefault(container.address.whole, []).append(container)
        return {address: tuple(sorted(group, key=lambda c: c.name)) for address, group in grouped.items()}
