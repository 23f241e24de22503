"""The specs compared with reality, from one snapshot, its plan and the gateway's counters; and the runs at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.plan import Plan, RunJob
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.leases import RunSeen
from sagespec.records.sources import SourceRecords
from sagespec.records.sweeping import Sweeping
from sagespec.serve.notebooks import door_of
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.state.repairs import Flap
from sagespec.state.source import SourceRecord
from sagespec.traffic.lately import lately_in, read_lately
from sagespec.verbs.accelerations import accelerations
from sagespec.verbs.door_states import DoorStates
from sagespec.verbs.edited import DataNow
from sagespec.verbs.endpoint_states import endpoint_states
from sagespec.verbs.history import manifest, unknown_endpoint
from sagespec.verbs.metrics import latest_metrics
from sagespec.verbs.notebook_states import notebook_states
from sagespec.verbs.plan import snapshot
from sagespec.verbs.stale import stale_job
from sagespec.verbs.states import (
    EndpointState,
    EndpointWord,
    JobState,
    LastMinute,
    RunState,
    Status,
    hyperparameters_of,
    job_state,
    what_jobs_wait_for,
)


def status(parts: Parts) -> Status:
    begun = datetime.now(UTC)  # what is written from here on may not be seen
    at_work = parts.leases().look()
    desired, observed = snapshot(parts, at_work, check_paths=False)
    plan = reconcile(desired, observed, datetime.now(UTC))
    url = parts.gateway_url
    return Status(
        jobs=_job_states(parts, desired, observed, plan),
        endpoints=_with_flaps(_endpoint_states(parts, desired, observed, plan), at_work.runs),
        gateway=url if observed.gateway.answers else "",
        doors=DoorStates(observed.gateway.doors, begun) if observed.gateway.answers else None,
        runtime=parts.runtime.name,
        store=parts.store.uri,
        at=begun,
        runs=tuple(map(_run_state, at_work.runs)),
        notebooks=notebook_states(desired, observed, plan, partial(_notebook_url, parts)),
        suspended=plan.suspended,
        environment=parts.environment,
        source=_source(parts),
        gc=Sweeping(parts.records).marks()[0],
    )


def _source(parts: Parts) -> SourceRecord | None:
    """None where no branch is followed, and where `source status` says what is wrong with the record."""
    with suppress(WorldError):
        record = SourceRecords(parts.store, parts.settings.name).read()
        return record if record.url else None
    return None


def job_state_of(parts: Parts, job: Address) -> JobState:
    """The row of one job alone, whatever is wrong with other specs. WorldError when neither specs nor store have it."""
    desired, observed = snapshot(parts, parts.leases().look(), check_paths=False, only=[job])
    plan = reconcile(desired, observed, datetime.now(UTC), Options(only=frozenset({str(job)})))
    if desired.job(job):
        return _job_states(parts, desired, observed, plan)[0]
    manifest(parts, job)
    observed = replace(observed, manifests=parts.records.manifests([job]))
    return job_state(job, observed, plan, environment=parts.environment)


def endpoint_state_of(parts: Parts, endpoint: Address) -> EndpointState:
    """The row of one endpoint alone. WorldError when there is none."""
    desired, observed = snapshot(parts, parts.leases().look(), check_paths=False, only=[endpoint])
    plan = reconcile(desired, observed, datetime.now(UTC), Options(only=frozenset({str(endpoint)})))
    found = [state for state in _endpoint_states(parts, desired, observed, plan) if state.address == endpoint]
    if not found:
        raise unknown_endpoint(parts, endpoint.name, "is in no spec and is not live")
    return found[0]


def _job_states(parts: Parts, desired: Desired, observed: Observed, plan: Plan) -> tuple[JobState, ...]:
    unstarted = parts.records.unstarted({j.address: j.key for j in desired.jobs if j.address not in observed.manifests})
    waits_for = {address: f"could not start: {why}" for address, why in unstarted.items()}
    waits_for |= what_jobs_wait_for(desired, observed, plan)
    waits_for |= {back.about: one.by.text for one in plan.suspended for back in one.held if back.verb == RunJob.verb}
    data = DataNow(parts.root)
    return tuple(
        replace(
            job_state(
                job.address,
                observed,
                plan,
                live_metrics=latest_metrics(parts, job, observed),
                waits_for=waits_for.get(job.address, ""),
                stale=stale_job(job, observed.manifests.get(job.address), data, parts.runtime),
                environment=parts.environment,
            ),
            hyperparameters=hyperparameters_of(job, observed.manifests.get(job.address)),
        )
        for job in desired.jobs
    )


def _endpoint_states(parts: Parts, desired: Desired, observed: Observed, plan: Plan) -> tuple[EndpointState, ...]:
    counters = parts.gateway.counters() if observed.gateway.answers else {}
    minute = last_minutes(parts, datetime.now(UTC))
    states = endpoint_states(desired, observed, plan, counters, parts.gateway_url, last_minute=minute)
    return tuple(_elsewhere(parts, _with_accelerations(parts, observed, state)) for state in states)


def _with_accelerations(parts: Parts, observed: Observed, state: EndpointState) -> EndpointState:
    found = accelerations(parts.runtime, observed, state.address.name, state.live)
    variants = tuple(replace(variant, acceleration=found.get(variant.name)) for variant in state.variants)
    return replace(state, variants=variants) if found else state


def _with_flaps(states: Sequence[EndpointState], runs: Sequence[RunSeen]) -> tuple[EndpointState, ...]:
    """As the run says that repairs them."""
    flaps = {Address.parse(flap.about).whole: flap for run in runs for flap in run.doing.flapping}

    def told(state: EndpointState, flap: Flap) -> EndpointState:
        detail = "; ".join(filter(None, (flap.text, state.detail)))
        return replace(state, state=EndpointWord.FLAPPING, detail=detail)

    return tuple(told(one, flaps[one.address]) if one.address in flaps else one for one in states)


def last_minutes(parts: Parts, now: datetime) -> Callable[[str, str], LastMinute | None]:
    """Of an endpoint's variant: by this process's own record, or by that of the process that watches."""
    at = now.timestamp()
    found = lately_in(parts.traffic, at) or read_lately(parts.traffic_file, at)

    def last_minute(endpoint_name: str, variant: str) -> LastMinute | None:
        if found is None:
            return None
        span = found.of(endpoint_name, variant)
        return LastMinute(round(span.seconds, 1), span.requests, span.failed, span.p50_ms, span.p99_ms)

    return last_minute


def _notebook_url(parts: Parts, name: str) -> str:
    door = door_of(parts.root, name)
    return door.url if door else ""


def _elsewhere(parts: Parts, state: EndpointState) -> EndpointState:
    """The row of an endpoint whose containers are under another runtime, so that nothing is known of them here."""
    last, now = parts.last_runtime(), parts.runtime.name
    if last in ("", now) or state.revision is None:
        return state
    said = f"the containers of this project run under the runtime {last}: `sagespec status --runtime {last}` shows them"
    return replace(state, state=EndpointWord.ELSEWHERE, detail=said)


def _run_state(run: RunSeen) -> RunState:
    holder, doing = run.holder, run.doing
    return RunState(
        by=str(holder),
        who=holder.who,
        pid=holder.pid,
        command=holder.command,
        since=holder.taken_at,
        renewed_at=holder.renewed_at,
        waits_for=doing.waits_for,
        queued=doing.queued,
        last_pass_at=doing.last_pass_at,
        last_pass_seconds=doing.last_pass_seconds,
        looks_again_at=doing.looks_again_at,
        undelivered=doing.undelivered,
    )
