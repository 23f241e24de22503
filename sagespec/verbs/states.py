"""The rows of `sagespec status`: the specs compared with reality, each job and endpoint with its state, and the runs
that are at work. How endpoints get theirs is in `verbs.endpoint_states`.

Built by `verbs.status` from one snapshot, its plan and the gateway's counters; shown by `show`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from sagespec.causes import Reason
from sagespec.display import Displayed
from sagespec.frames import frame_of
from sagespec.ongoing import Rolling, Stale, Suspended
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.turns import jobs_due
from sagespec.state.acceleration import Acceleration
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.limits import Limits
from sagespec.state.manifest import ChannelRead, JobStatus, Manifest
from sagespec.state.observed import Container, ContainerState, Follower, Observed
from sagespec.state.revision import Revision
from sagespec.state.secrets import is_secret_field
from sagespec.state.source import SourceRecord
from sagespec.state.sweeping import Marks, swept_text
from sagespec.state.undelivered import Undelivered
from sagespec.verbs.door_states import DoorStates
from sagespec.verbs.notebook_states import NotebookState

RENEWALS_LAST = timedelta(seconds=5)  # what a run says of itself may be so old when it says it


class JobWord(StrEnum):
    TRAINED = "trained"
    PREPARING = "preparing"  # followed, and none of its containers runs yet
    RUNNING = "running"
    ENDED = "ended"  # its containers have, and its results are not in the store yet
    FAILED = "failed"
    STOPPED = "stopped"
    WAITING = "waiting"  # to be run
    REFUSED = "refused"  # the plan refuses its spec


class EndpointWord(StrEnum):
    SERVING = "serving"
    DEGRADED = "degraded"  # fewer healthy instances than asked for, and applied
    FLAPPING = "flapping"  # does not stay repaired, and is repaired less and less often
    PENDING = "pending"  # its spec is not applied yet
    ROLLING = "rolling"  # a new revision gets its traffic step by step
    BLOCKED = "blocked"  # its spec was given up, or is refused
    WAITING = "waiting"  # nothing is served yet
    ORPHANED = "orphaned"  # in no spec
    ELSEWHERE = "elsewhere"  # its containers run under another runtime than is looked at


@dataclass(frozen=True, repr=False)
class JobState(Displayed):
    """One row of `status`. fix: what to do about one that is refused. follower: who follows it now. read: what it has
    read of each channel, once it has ended. hyperparameters: as its containers see them, less what may be secret.
    swept_at: when `gc` deleted its model. stale: of a trained one whose data or image have moved on. nodes: where its
    hosts are, if the engine has several machines."""

    address: Address
    state: JobWord
    detail: str = ""
    metrics: Mapping[str, float] | None = None
    seconds: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    follower: Follower | None = None
    read: Mapping[str, ChannelRead] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    fix: str = ""
    swept_at: datetime | None = None
    stale: Stale | None = None
    nodes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        stale = self.stale.as_json() if self.stale else None
        return {
            "address": str(self.address),
            "state": self.state.value,
            "detail": self.detail,
            "metrics": dict(self.metrics or {}),
            "seconds": self.seconds,
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
            "followed_by": self.follower.by if self.follower else "",
            "since": _iso(self.follower.since) if self.follower else None,
            "read": {name: read.model_dump(mode="json") for name, read in self.read.items()},
            "hyperparameters": dict(self.hyperparameters),
            "stale": stale and {name: value for name, value in stale.items() if name != "about"},
            **({"swept_at": _iso(self.swept_at)} if self.swept_at else {}),
            **({"nodes": list(self.nodes)} if self.nodes else {}),
        }

    def as_row(self) -> dict[str, Any]:
        """Of a table with other jobs."""
        row = {"job": str(self.address), "state": self.state.value, "detail": self.detail, "seconds": self.seconds}
        return row | dict(self.hyperparameters) | dict(self.metrics or {})


@dataclass(frozen=True)
class LastMinute:
    """Of one variant. seconds: how much of the minute was watched; latencies in milliseconds, None without requests."""

    seconds: float
    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, repr=False)
class VariantState(Displayed):
    """One variant, as asked and as it is. Weights are shares of the endpoint's traffic, 0 to 1; latencies in
    milliseconds over the gateway's life, None without requests.

    model: what serves, '' where nothing does. model_asked: '' for a variant that is not asked for. instances_live: as
    applied last. last_minute: None where no `watch` is at work, which records it. lends_to: the variants that answer in
    its place while it has no healthy instance. waiting: requests that wait at the gateway for their turn.
    acceleration: None where the live revision does not ask for it. nodes: where its instances are, if the engine has
    several machines.
    """

    name: str
    model: str
    share_asked: float
    share_live: float
    instances_asked: int
    instances_healthy: int
    requests: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    model_asked: str = ""
    instances_live: int = 0
    last_minute: LastMinute | None = None
    lends_to: tuple[str, ...] = ()
    waiting: int = 0
    acceleration: Acceleration | None = None
    nodes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        shares = {"share_asked": round(self.share_asked, 6), "share_live": round(self.share_live, 6)}
        found = asdict(self) | shares
        return {name: value for name, value in found.items() if value or name not in ("acceleration", "nodes")}


@dataclass(frozen=True, repr=False)
class EndpointState(Displayed):
    """One endpoint and its variants. revision: what is live. newest_revision: of all, those removed too.

    live, newest: these two in full. is_applied: what its spec asks for now is live. key: what its requests are split
    by now; '' for chance. rolling: the rollout that is under way. is_settled: nothing is to be done to it just
    now. limits: of its instances, as the gateway has them.
    """

    address: Address
    state: EndpointWord
    url: str
    revision: int | None
    variants: tuple[VariantState, ...]
    detail: str = ""
    newest_revision: int | None = None
    live: Revision | None = None
    newest: Revision | None = None
    is_applied: bool = True
    is_in_specs: bool = True
    key: str = ""
    rolling: Rolling | None = None
    is_settled: bool = True
    limits: Limits | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "state": self.state.value,
            "detail": self.detail,
            "key": self.key,
            "url": self.url,
            "revision": self.revision,
            "newest_revision": self.newest_revision,
            "variants": [variant.as_json() for variant in self.variants],
            "limits": self.limits._asdict() if self.limits else None,
        } | ({"rollout": self.rolling.as_json()} if self.rolling else {})

    def as_rows(self) -> list[dict[str, Any]]:
        """Of a table with other endpoints: one for each variant."""
        mine = {"endpoint": str(self.address), "state": self.state.value}
        return [
            mine | {"variant" if name == "name" else name: value for name, value in variant.as_json().items()}
            for variant in self.variants
        ]


@dataclass(frozen=True, repr=False)
class RunState(Displayed):
    """A run that watches, or waits for something. Times are of its own clock; renewed_at: when it said all this.

    looks_again_at: at the latest; None for a run that looks when what it waits for has ended. undelivered: messages.
    """

    by: str
    who: str
    pid: int
    command: str
    since: datetime
    renewed_at: datetime
    waits_for: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    last_pass_at: datetime | None = None
    last_pass_seconds: float | None = None
    looks_again_at: datetime | None = None
    undelivered: tuple[Undelivered, ...] = ()

    @property
    def is_late(self) -> bool:
        """Whether it says itself that it should have looked by then: its pass takes long, or waits for the lock."""
        return self.looks_again_at is not None and self.renewed_at - self.looks_again_at > RENEWALS_LAST

    def as_json(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "command": self.command,
            "since": _iso(self.since),
            "renewed_at": _iso(self.renewed_at),
            "waits_for": list(self.waits_for),
            "queued": list(self.queued),
            "last_pass_at": _iso(self.last_pass_at),
            "last_pass_seconds": self.last_pass_seconds,
            "looks_again_at": _iso(self.looks_again_at),
            "undelivered": [one.as_json() for one in self.undelivered],
        }


@dataclass(frozen=True, repr=False)
class Status(Displayed):
    """at: when the snapshot was begun: what was done since may not be in it."""

    jobs: tuple[JobState, ...]
    endpoints: tuple[EndpointState, ...]
    gateway: str  # address, or '' when it does not run
    runtime: str
    store: str
    at: datetime
    runs: tuple[RunState, ...] = ()
    notebooks: tuple[NotebookState, ...] = ()
    doors: DoorStates | None = None  # of a gateway that runs
    suspended: tuple[Suspended, ...] = ()
    environment: str = ""
    source: SourceRecord | None = None  # of the branch that is followed, if one is
    gc: Marks = field(default_factory=Marks)  # as of its last step

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        suspended = {"suspended": [one.as_json() for one in self.suspended]} if self.suspended else {}
        source = {"source": self.source.model_dump(mode="json")} if self.source else {}
        gc = {"gc": _gc_as_json(self.gc)} if self.gc.jobs or self.gc.swept else {}
        return {
            "runtime": self.runtime,
            "store": self.store,
            "gateway": self.gateway,
            "doors": self.doors.as_json() if self.doors else None,
            "at": _iso(self.at),
            "jobs": [job.as_json() for job in self.jobs],
            "endpoints": [endpoint.as_json() for endpoint in self.endpoints],
            "notebooks": [notebook.as_json() for notebook in self.notebooks],
            "runs": [run.as_json() for run in self.runs],
            **({"environment": self.environment} if self.environment else {}),
            **suspended,
            **source,
            **gc,
        }

    def frame(self, what: Literal["jobs", "endpoints"] = "jobs") -> Any:
        """A data frame of pandas: a row for each job, with its metrics and hyperparameters as columns, or a row for
        each variant of the endpoints."""
        if what == "jobs":
            return frame_of([job.as_row() for job in self.jobs])
        return frame_of([row for endpoint in self.endpoints for row in endpoint.as_rows()])


def _gc_as_json(marks: Marks) -> dict[str, Any]:
    return {
        "marked": [
            {"job": job, "since": _iso(mark.since), "sweep_from": _iso(mark.due_at)} for job, mark in marks.jobs.items()
        ],
        "swept": [{"job": job, "swept_at": _iso(at)} for job, at in marks.swept.items()],
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def job_state(
    address: Address,
    observed: Observed,
    plan: Plan,
    *,
    live_metrics: Mapping[str, float] | None = None,
    waits_for: str = "",
    stale: Stale | None = None,
    environment: str = "",
) -> JobState:
    """The row of one job. live_metrics: what a running one has printed so far. waits_for: of `what_jobs_wait_for`.
    stale: of a trained one that is. environment: '' for none."""
    manifest = observed.manifests.get(address)
    hosts = [c for c in observed.containers_of(address) if not c.address.is_companion]
    follower = _follower(address, observed, manifest)
    if found := _under_way(address, plan, hosts, follower):
        word, detail = found
        starts = [c.started_at for c in hosts if c.started_at] if word is JobWord.RUNNING else []
        detail = "; ".join(part for part in (detail, "asked to stop" if address in observed.stops else "") if part)
        begun, nodes = min(starts, default=None), nodes_of(hosts)
        return JobState(address, word, detail, live_metrics, None, begun, None, follower, nodes=nodes)
    problem = next((p for p in plan.refused if p.about == str(address)), None)
    if manifest is None:
        said = waits_for or "not trained yet"
        word, said = (JobWord.REFUSED, problem.what) if problem else (JobWord.WAITING, said)
        return JobState(address, word, said, fix=problem.fix if problem else "")
    if manifest.status is JobStatus.COMPLETED:
        swept = swept_text(address, environment) if manifest.swept_at else ""
        said = "; ".join(filter(None, (swept, f"stale: {stale.text}" if stale else "", *manifest.notes)))
        state, detail = (JobWord.REFUSED, problem.what) if problem else (JobWord.TRAINED, said)
    else:
        state, detail = JobWord(manifest.status.value), _runs_again(address, plan) or manifest.reason
    seconds = (manifest.ended_at - manifest.started_at).total_seconds()
    return JobState(
        address,
        state,
        detail,
        manifest.metrics,
        seconds,
        started_at=manifest.started_at,
        ended_at=manifest.ended_at,
        read=manifest.read,
        swept_at=manifest.swept_at,
        stale=stale,
    )


def nodes_of(containers: Iterable[Container]) -> tuple[str, ...]:
    """Each once, sorted."""
    return tuple(sorted({container.node for container in containers if container.node}))


def hyperparameters_of(job: DesiredJob, manifest: Manifest | None) -> Mapping[str, str]:
    """Those that it was trained with; the spec's before that. Without what may be secret."""
    fields = manifest.key_fields if manifest and manifest.key_fields else job.key_fields
    found = {name: str(value) for name, value in fields.items() if name.startswith("hyperparameters.")}
    shown = {name: value for name, value in found.items() if not is_secret_field(name, value)}
    return {name.removeprefix("hyperparameters."): value for name, value in shown.items()}


def _follower(address: Address, observed: Observed, manifest: Manifest | None) -> Follower | None:
    """Who follows the job; None once the manifest is there, and they only clear up."""
    follower = observed.followers.get(address)
    return follower if follower and (manifest is None or follower.since > manifest.ended_at) else None


def _under_way(
    address: Address, plan: Plan, hosts: Sequence[Container], follower: Follower | None
) -> tuple[JobWord, str] | None:
    """The state of a job that was begun and has no results yet, and what to say of it; None for all others."""
    running = sum(host.state is ContainerState.RUNNING for host in hosts)
    if running:
        count = f"{running} containers" if running > 1 else ""
        refusals = [problem.what for problem in plan.refused if problem.about == str(address)]
        then = refusals[0] if refusals else "`sagespec apply` picks it up"
        unseen = "" if follower else f"followed by nobody: {then}"
        return JobWord.RUNNING, "; ".join(part for part in (count, unseen) if part)
    if follower:
        if hosts and all(host.state is ContainerState.EXITED for host in hosts):
            return JobWord.ENDED, "its results are being stored"
        return JobWord.PREPARING, "no container of it is running yet"
    is_adopted = any(
        isinstance(action, RunJob) and action.cause.reason is Reason.ADOPTED and action.about == address
        for action in plan
    )
    return (JobWord.ENDED, "its results are not stored yet: `sagespec apply` stores them") if is_adopted else None


def _runs_again(address: Address, plan: Plan) -> str:
    """Of a job that has failed, why the next apply runs it again; '' if it does not."""
    runs = (action for action in plan if isinstance(action, RunJob) and action.about == address)
    return next((f"runs again at the next apply: {action.cause}" for action in runs), "")


def what_jobs_wait_for(desired: Desired, observed: Observed, plan: Plan) -> Mapping[Address, str]:
    """Why jobs that could run do not: nothing while no job is running."""
    is_any_running = observed.followers or any(container.address.kind == "job" for container in observed.containers)
    return jobs_due(plan, desired, observed).waiting if is_any_running else {}
