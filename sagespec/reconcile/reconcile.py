"""What to do, worked out from what is wanted and what is there. Pure: no I/O, no clock, no randomness.

`converge` calls `reconcile` with one snapshot and carries the plan out with `apply`; `sagespec plan`
shows the same plan. The decisions live in the files beside this one:

    jobs.py       which jobs run, are done, stay failed, are refused
    endpoints.py  which instances start, take traffic, drain, go
    prune.py      what is wanted no more, and what protects it

docs/planning.md lists, rule by rule, when each action is proposed.
"""

from __future__ import annotations

from datetime import datetime

from sagespec.plan import Action, Cause, Plan, Reason, StartGateway, ordered
from sagespec.reconcile.endpoints import reconcile_endpoint
from sagespec.reconcile.jobs import reconcile_job
from sagespec.reconcile.options import Options
from sagespec.reconcile.prune import reconcile_unwanted
from sagespec.state.addresses import GATEWAY
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.observed import ContainerState, Observed

__all__ = ["Options", "reconcile"]


def reconcile(desired: Desired, observed: Observed, now: datetime, options: Options | None = None) -> Plan:
    """The plan that leads from `observed` to `desired`. Carried out in full, the next plan is empty.

    `now` is the time of the snapshot. Equal arguments give equal plans, byte for byte.
    """
    options = options or Options()
    jobs = {job.address: reconcile_job(job, observed, options) for job in sorted(desired.jobs, key=lambda j: j.address)}
    gateway = _reconcile_gateway(desired, observed)
    endpoints = [
        reconcile_endpoint(desired.project_name, endpoint, observed, jobs, gateway, now, options)
        for endpoint in sorted(desired.endpoints, key=lambda e: e.name)
    ]
    unwanted = reconcile_unwanted(desired, observed, now, options)
    parts = [*jobs.values(), *endpoints, unwanted]
    actions: list[Action] = [*gateway]
    for part in parts:
        actions.extend(part.actions)
    return Plan(
        actions=ordered(actions),
        unchanged=tuple(address for part in parts for address in part.unchanged),
        refused=tuple(problem for part in parts for problem in part.refused),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _reconcile_gateway(desired: Desired, observed: Observed) -> tuple[StartGateway, ...]:
    if not desired.endpoints:
        return ()
    containers = observed.containers_of(GATEWAY)
    wanted = [c for c in containers if same_hash(desired.gateway_hash, c.hash)]
    if not containers:
        cause = Cause(Reason.NEW)
    elif not wanted or len(containers) > 1:
        cause = Cause(Reason.CHANGED, note="gateway settings changed")
    elif wanted[0].state is not ContainerState.RUNNING:
        cause = Cause(Reason.DRIFT, note=f"gateway is {wanted[0].state}")
    elif not observed.gateway.answers:
        cause = Cause(Reason.DRIFT, note="gateway does not answer")
    else:
        return ()
    return (StartGateway(about=GATEWAY, cause=cause),)
