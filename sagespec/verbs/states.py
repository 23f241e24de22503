"""The rows of `sagespec status`: the specs compared with reality, each job and endpoint with its state.

Built by `verbs.status` from one snapshot, its plan and the gateway's counters; shown by `show`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sagespec.errors import Problem
from sagespec.gateway.answers import Counters
from sagespec.plan import Plan
from sagespec.reconcile.turns import jobs_due
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.desired import Desired, DesiredEndpoint, desired_endpoint
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import ContainerState, Observed, Route
from sagespec.state.revision import live_revision

CounterKey = tuple[str, str, str]  # endpoint, variant, hash


class JobWord(StrEnum):
    TRAINED = "trained"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    WAITING = "waiting"  # to be run
    REFUSED = "refused"  # the plan refuses its spec


class EndpointWord(StrEnum):
    SERVING = "serving"
    DEGRADED = "degraded"  # fewer healthy instances than the spec asks for
    PENDING = "pending"  # its spec is not applied yet
    BLOCKED = "blocked"  # its spec was given up, or is refused
    WAITING = "waiting"  # nothing is served yet
    ORPHANED = "orphaned"  # in no spec


@dataclass(frozen=True)
class JobState:
    """One row of `status`."""

    address: Address
    state: JobWord
    detail: str = ""
    metrics: Mapping[str, float] | None = None
    seconds: float | None = None
    ended_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "state": self.state.value,
            "detail": self.detail,
            "metrics": dict(self.metrics or {}),
            "seconds": self.seconds,
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


@dataclass(frozen=True)
class VariantState:
    """One variant, as asked and as it is. Weights are shares of the endpoint's traffic, 0 to 1; latencies in
    milliseconds over the gateway's life, None without requests."""

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

    def as_json(self) -> dict[str, Any]:
        shares = {"share_asked": round(self.share_asked, 6), "share_live": round(self.share_live, 6)}
        return asdict(self) | shares


@dataclass(frozen=True)
class EndpointState:
    """One endpoint and its variants."""

    address: Address
    state: EndpointWord
    url: str
    revision: int | None
    variants: tuple[VariantState, ...]
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "state": self.state.value,
            "detail": self.detail,
            "url": self.url,
            "revision": self.revision,
            "variants": [variant.as_json() for variant in self.variants],
        }


@dataclass(frozen=True)
class Status:
    jobs: tuple[JobState, ...]
    endpoints: tuple[EndpointState, ...]
    gateway: str  # address, or '' when it does not run
    runtime: str
    store: str

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/commands.md."""
        return {
            "runtime": self.runtime,
            "store": self.store,
            "gateway": self.gateway,
            "jobs": [job.as_json() for job in self.jobs],
            "endpoints": [endpoint.as_json() for endpoint in self.endpoints],
        }


def job_state(
    address: Address,
    observed: Observed,
    plan: Plan,
    *,
    live_metrics: Mapping[str, float] | None = None,
    waits_for: str = "",
) -> JobState:
    """The row of one job. live_metrics: what a running one has printed so far. waits_for: of `what_jobs_wait_for`."""
    manifest = observed.manifests.get(address)
    problem = next((p for p in plan.refused if p.about == str(address)), None)
    hosts = [c for c in observed.containers_of(address) if not c.address.is_companion]
    running = [c for c in hosts if c.state is ContainerState.RUNNING]
    if running:
        since = min((c.started_at for c in running if c.started_at), default=None)
        detail = f"{len(running)} containers" if len(running) > 1 else ""
        return JobState(address, JobWord.RUNNING, detail, live_metrics, ended_at=since)
    if manifest is None:
        if problem:
            return JobState(address, JobWord.REFUSED, problem.what)
        return JobState(address, JobWord.WAITING, waits_for or "not trained yet")
    if manifest.status is JobStatus.COMPLETED:
        state, detail = (JobWord.REFUSED, problem.what) if problem else (JobWord.TRAINED, "")
    else:
        state, detail = JobWord(manifest.status.value), manifest.reason
    seconds = (manifest.ended_at - manifest.started_at).total_seconds()
    return JobState(address, state, detail, manifest.metrics, seconds, manifest.ended_at)


def what_jobs_wait_for(desired: Desired, observed: Observed, plan: Plan) -> Mapping[Address, str]:
    """Why jobs that could run do not: nothing while no job is running."""
    is_any_running = observed.followers or any(container.address.kind == "job" for container in observed.containers)
    return jobs_due(plan, desired, observed).waiting if is_any_running else {}


def endpoint_states(
    desired: Desired, observed: Observed, plan: Plan, counters: Mapping[CounterKey, Counters], gateway_url: str
) -> tuple[EndpointState, ...]:
    """The rows of all endpoints, those in no spec included, sorted by name."""
    names = sorted({endpoint.name for endpoint in desired.endpoints} | observed.gateway.routes.keys())
    return tuple(
        _endpoint_state(name, desired, observed, plan, counters=counters, gateway_url=gateway_url) for name in names
    )


def _endpoint_state(
    name: str,
    desired: Desired,
    observed: Observed,
    plan: Plan,
    *,
    counters: Mapping[CounterKey, Counters],
    gateway_url: str,
) -> EndpointState:
    address = endpoint_address(name)
    asked = next((endpoint for endpoint in desired.endpoints if endpoint.name == name), None)
    live = live_revision(observed.revisions.get(name, ()))
    shown = asked or (desired_endpoint(name, live.asked) if live else None)
    route = observed.gateway.routes.get(name)
    problem = next((p for p in (*plan.refused, *plan.held) if p.about == str(address)), None)
    pending = any(action.about.whole == address for action in plan.actions)
    variants = _variant_states(name, shown, route, observed, counters)
    return EndpointState(
        address=address,
        state=_endpoint_word(asked, route, problem, pending, variants),
        url=f"{gateway_url}/endpoints/{name}/invocations",
        revision=live.number if live else None,
        variants=variants,
        detail=problem.what if problem else "",
    )


def _variant_states(
    endpoint_name: str,
    shown: DesiredEndpoint | None,
    route: Route | None,
    observed: Observed,
    counters: Mapping[CounterKey, Counters],
) -> tuple[VariantState, ...]:
    """The variants asked for, then those that only the gateway still knows."""
    targets = route.targets if route else ()
    live_total = sum(target.weight for target in targets if target.instances)
    asked_total = sum(variant.weight for variant in shown.variants) if shown else 0.0
    names = [variant.name for variant in shown.variants] if shown else []
    names += sorted({target.variant for target in targets} - set(names))
    states = []
    for name in names:
        asked = shown.variant(name) if shown else None
        mine = [target for target in targets if target.variant == name]
        counted = [counters[key] for t in mine if (key := (endpoint_name, t.variant, t.hash)) in counters]
        healthy = sum(
            (probe := observed.gateway.probes.get(instance)) is not None and probe.healthy
            for target in mine
            for instance in target.instances
        )
        states.append(
            VariantState(
                name=name,
                model=asked.model.text if asked else "",
                share_asked=asked.weight / asked_total if asked and asked_total else 0.0,
                share_live=sum(t.weight for t in mine if t.instances) / live_total if live_total else 0.0,
                instances_asked=asked.instances if asked else 0,
                instances_healthy=healthy,
                requests=sum(c.requests for c in counted),
                errors=sum(c.errors for c in counted),
                p50_ms=max((c.p50_ms for c in counted if c.p50_ms is not None), default=None),
                p99_ms=max((c.p99_ms for c in counted if c.p99_ms is not None), default=None),
            )
        )
    return tuple(states)


def _endpoint_word(
    asked: DesiredEndpoint | None,
    route: Route | None,
    problem: Problem | None,
    pending: bool,
    variants: Sequence[VariantState],
) -> EndpointWord:
    if asked is None:
        return EndpointWord.ORPHANED
    if problem:
        return EndpointWord.BLOCKED
    if route is None:
        return EndpointWord.WAITING
    if any(v.instances_healthy < v.instances_asked for v in variants):
        return EndpointWord.DEGRADED
    return EndpointWord.PENDING if pending else EndpointWord.SERVING
