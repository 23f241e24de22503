"""The specs compared with reality, from one snapshot, its plan and the gateway's counters; and the runs at work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sagespec.parts import Parts
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.leases import RunSeen
from sagespec.verbs.edited import DataNow
from sagespec.verbs.endpoint_states import endpoint_states
from sagespec.verbs.metrics import latest_metrics
from sagespec.verbs.plan import snapshot
from sagespec.verbs.states import (
    EndpointState,
    EndpointWord,
    RunState,
    Status,
    hyperparameters_of,
    job_state,
    what_jobs_wait_for,
)


def status(parts: Parts) -> Status:
    at_work = parts.leases().look()
    desired, observed = snapshot(parts, at_work, check_paths=False)
    now = datetime.now(UTC)
    plan = reconcile(desired, observed, now)
    counters = parts.gateway.counters() if observed.gateway.answers else {}
    unstarted = parts.records.unstarted({j.address: j.key for j in desired.jobs if j.address not in observed.manifests})
    waits_for = {address: f"could not start: {why}" for address, why in unstarted.items()}
    waits_for |= what_jobs_wait_for(desired, observed, plan)
    data = DataNow(parts.root)
    jobs = tuple(
        replace(
            job_state(
                job.address,
                observed,
                plan,
                live_metrics=latest_metrics(parts, job, observed),
                waits_for=waits_for.get(job.address, ""),
                edited_data=data.edited(job, observed),
            ),
            hyperparameters=hyperparameters_of(job, observed.manifests.get(job.address)),
        )
        for job in desired.jobs
    )
    url = parts.gateway_url
    return Status(
        jobs=jobs,
        endpoints=tuple(_elsewhere(parts, s) for s in endpoint_states(desired, observed, plan, counters, url)),
        gateway=url if observed.gateway.answers else "",
        runtime=parts.runtime.name,
        store=parts.store.uri,
        at=now,
        runs=tuple(map(_run_state, at_work.runs)),
    )


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
    )
