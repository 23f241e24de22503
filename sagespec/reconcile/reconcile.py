"""What to do, worked out from what is wanted and what is there. Pure: no I/O, no clock, no randomness.

`converge` calls `reconcile` with one snapshot and carries the plan out with `apply`; `sagespec plan`
shows the same plan. The decisions live in the files beside this one:

    given.py      what all of them are given, and the form of a decision
    jobs.py       which jobs run, are done, stay failed, are refused
    endpoints.py  what an endpoint's containers do, step by step: goals.py (its spec, or what is live), instances.py
                  (which it should have, which start), routes.py (where its traffic goes), leaving.py (what drains),
                  restarts.py (what is replaced although nothing has changed)
    prune.py      what no spec names any more, and what protects it
    turns.py      whose turn it is among the jobs; asked by `apply`, too
    causes.py     the changed fields behind an action, secrets masked

docs/planning.md lists, rule by rule, when each action is proposed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sagespec.plan import Cause, Plan, Reason, Running, StartGateway, ordered
from sagespec.reconcile.endpoints import reconcile_endpoint
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.goals import waits_for
from sagespec.reconcile.jobs import reconcile_job
from sagespec.reconcile.options import Options
from sagespec.reconcile.prune import reconcile_unwanted
from sagespec.reconcile.restarts import notes_of_gateway
from sagespec.state.addresses import GATEWAY
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.observed import ContainerState, Observed

__all__ = ["Options", "reconcile"]


def reconcile(desired: Desired, observed: Observed, now: datetime, options: Options | None = None) -> Plan:
    """The plan that leads from `observed` to `desired`. Carried out in full, the next plan is empty.

    `now` is the time of the snapshot. Equal arguments give equal plans, byte for byte.
    """
    wanted = {job.address: job for job in desired.jobs}
    given = Given(desired.project_name, observed, now, options or Options(), wanted)
    jobs = {job.address: reconcile_job(job, given) for job in sorted(desired.jobs, key=lambda j: j.address)}
    gateway = _reconcile_gateway(desired, observed)
    given = replace(given, jobs=jobs, gateway=gateway)
    endpoints = [reconcile_endpoint(e, given) for e in sorted(desired.endpoints, key=lambda e: e.name)]
    decisions = [
        Decision(gateway, notes=tuple(notes_of_gateway(observed))),
        *jobs.values(),
        *endpoints,
        reconcile_unwanted(desired, given),
    ]
    return Plan(
        actions=ordered(action for decision in decisions for action in decision.actions),
        unchanged=tuple(address for decision in decisions for address in decision.unchanged),
        refused=tuple(problem for decision in decisions for problem in decision.refused),
        notes=tuple(note for decision in decisions for note in decision.notes),
        held=tuple(problem for decision in decisions for problem in decision.held),
        running=_with_needs(desired, given),
    )


def _with_needs(desired: Desired, given: Given) -> tuple[Running, ...]:
    """The jobs that other runs follow, each with the endpoints that wait for it."""
    running = [found for decision in given.jobs.values() for found in decision.running]
    needs = {endpoint.address: waits_for(endpoint, given) for endpoint in desired.endpoints} if running else {}
    return tuple(
        replace(found, needed_by=tuple(sorted(a for a, jobs in needs.items() if found.about in jobs)))
        for found in running
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
    elif not wanted[0].is_on_network:
        cause = Cause(Reason.DRIFT, note="gateway is off the project's network")
    elif not observed.gateway.answers:
        cause = Cause(Reason.DRIFT, note="gateway does not answer")
    elif request := observed.restarts.get(GATEWAY):
        return (StartGateway(about=GATEWAY, cause=Cause(Reason.RESTARTED, note=request.reason), restart=True),)
    else:
        return ()
    return (StartGateway(about=GATEWAY, cause=cause),)
