"""The specs compared with reality, from one snapshot, its plan and the gateway's counters."""

from __future__ import annotations

from datetime import UTC, datetime

from sagespec.parts import Parts
from sagespec.reconcile.reconcile import reconcile
from sagespec.verbs.metrics import latest_metrics
from sagespec.verbs.plan import snapshot
from sagespec.verbs.states import Status, endpoint_states, job_state, what_jobs_wait_for


def status(parts: Parts) -> Status:
    at_work = parts.leases().look()
    desired, observed = snapshot(parts, at_work, check_paths=False)
    plan = reconcile(desired, observed, datetime.now(UTC))
    counters = parts.gateway.counters() if observed.gateway.answers else {}
    waits_for = what_jobs_wait_for(desired, observed, plan)
    jobs = tuple(
        job_state(
            job.address,
            observed,
            plan,
            live_metrics=latest_metrics(parts, job, observed),
            waits_for=waits_for.get(job.address, ""),
        )
        for job in desired.jobs
    )
    url = parts.gateway_url
    return Status(
        jobs=jobs,
        endpoints=endpoint_states(desired, observed, plan, counters, url),
        gateway=url if observed.gateway.answers else "",
        runtime=parts.runtime.name,
        store=parts.store.uri,
    )
