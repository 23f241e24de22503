"""The rows of `sagespec status`: the specs beside reality, each job and endpoint with its state.

Made by `verbs.status` from one snapshot, its plan and the gateway's counters; shown by `show`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sagespec.errors import Problem
from sagespec.gateway.answers import Counters
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.turns import Request, holders, needs_of, turns
from sagespec.state.addresses import Address, endpoint_address
from sagespec.state.desired import Desired, DesiredEndpoint, desired_endpoint
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import ContainerState, Observed, Route
from sagespec.state.revision import live_revision

CounterKey = tuple[str, str, str]  # endpoint, variant, hash


@dataclass(frozen=True)
class JobState:
    """One row of `status`: state is trained, running, failed, stopped, waiting (to be run) or refused."""

    address: Address
    state: str
    detail: str = ""
    metrics: Mapping[str, float] | None = None
    seconds: float | None = None
    ended_at: datetime | None = None


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
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class EndpointState:
    """One endpoint. state is serving, degraded, pending (its spec is not applied yet), held (its spec was given up),
    waiting or stray (in no spec)."""

    address: Address
    state: str
    url: str
    revision: int | None
    variants: tuple[VariantState, ...]
    detail: str = ""


@dataclass(frozen=True)
class Status:
    jobs: tuple[JobState, ...]
    endpoints: tuple[EndpointState, ...]
    gateway: str  # address, or '' when it does not run
    runtime: str
    store: str


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
        return JobState(address, "running", detail, live_metrics, ended_at=since)
    if manifest is None:
        if problem:
            return JobState(address, "refused", problem.what)
        return JobState(address, "waiting", waits_for or "not trained yet")
    if manifest.status is JobStatus.COMPLETED:
        state, detail = ("refused", problem.what) if problem else ("trained", "")
    else:
        state, detail = manifest.status.value, manifest.reason
    seconds = (manifest.ended_at - manifest.started_at).total_seconds()
    return JobState(address, state, detail, manifest.metrics, seconds, manifest.ended_at)


def what_jobs_wait_for(desired: Desired, observed: Observed, plan: Plan) -> Mapping[Address, str]:
    """Why jobs that could run do not, as far as it can be told from outside of the run that starts them: nothing
    while no job runs."""
    to_run = {action.about: action.job for action in plan.actions if isinstance(action, RunJob)}
    held = {request.about: request for request in holders(observed.containers)}
    live = {container.address.whole for container in observed.containers if container.address.kind == "job"}
    if not live:
        return {}
    decided = turns(
        [Request(about, needs_of(job)) for about, job in to_run.items() if about not in live],
        [held.get(about, Request(about, {})) for about in sorted(live)],
        [request for about, request in held.items() if about not in live],
        capacity=observed.capacity,
        parallel_jobs=desired.parallel_jobs,
    )
    return decided.waiting


def endpoint_states(
    desired: Desired, observed: Observed, plan: Plan, counters: Mapping[CounterKey, Counters], gateway_url: str
) -> tuple[EndpointState, ...]:
    """The rows of all endpoints, those in no spec included, sorted by name."""
    names = sorted({endpoint.name for endpoint in desired.endpoints} | observed.gateway.routes.keys())
    return tuple(_endpoint_state(name, desired, observed, plan, counters, gateway_url) for name in names)


def _endpoint_state(
    name: str,
    desired: Desired,
    observed: Observed,
    plan: Plan,
    counters: Mapping[CounterKey, Counters],
    gateway_url: str,
) -> EndpointState:
    address = endpoint_address(name)
    asked = next((endpoint for endpoint in desired.endpoints if endpoint.name == name), None)
    live = live_revision(observed.revisions.get(name, ()))
    shown = asked or (desired_endpoint(name, live.asked) if live else None)
    route = observed.gateway.routes.get(name)
    problem = next((problem for problem in plan.refused if problem.about == str(address)), None)
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
                p50=max((c.p50_ms for c in counted if c.p50_ms is not None), default=None),
                p99=max((c.p99_ms for c in counted if c.p99_ms is not None), default=None),
            )
        )
    return tuple(states)


def _endpoint_word(
    asked: DesiredEndpoint | None,
    route: Route | None,
    problem: Problem | None,
    pending: bool,
    variants: Sequence[VariantState],
) -> str:
    if asked is None:
        return "stray"
    if problem:
        return "held"
    if route is None:
        return "waiting"
    if any(v.instances_healthy < v.instances_asked for v in variants):
        return "degraded"
    return "pending" if pending else "serving"
