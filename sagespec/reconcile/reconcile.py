"""What to do, worked out from what is wanted and what is there. Pure: no I/O, no clock, no randomness.

`converge` calls `reconcile` with one snapshot and carries the plan out with `apply`; `sagespec plan`
shows the same plan. The decisions live in the files beside this one:

    given.py      what all of them are given, and the form of a decision
    jobs.py       which jobs run, are done, stay failed, are refused; promoted.py: which are copied from where they are
                  trained
    endpoints.py  what an endpoint's containers do: goals.py (its spec, or what is live), at_once.py (how it gets
                  there), instances.py (which it should have, which start), routes.py (where its traffic goes),
                  leaving.py (what drains), restarts.py (what is replaced although nothing has changed),
                  gates.py (whether a model is good enough)
    rollouts.py   the same step by step: steps.py (who has which share how long), judging.py (what takes it back)
    gateway.py    whether the gateway starts, and who may ask it
    notebooks.py  which notebooks start
    prune.py      what no spec names any more, and what protects it
    turns.py      whose turn it is among the jobs; asked by `apply`, too
    suspended.py  what is held back, since somebody has suspended it
    causes.py     the changed fields behind an action, secrets masked; places.py: where they stand

docs/planning.md lists, rule by rule, when each action is proposed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sagespec.ongoing import Running
from sagespec.plan import Plan
from sagespec.reconcile.endpoints import kept_up, reconcile_endpoint
from sagespec.reconcile.gateway import notes_of_doors, reconcile_doors, reconcile_gateway
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.goals import waits_for
from sagespec.reconcile.jobs import reconcile_job
from sagespec.reconcile.notebooks import reconcile_notebook
from sagespec.reconcile.options import Options
from sagespec.reconcile.order import ordered
from sagespec.reconcile.promoted import without_spec
from sagespec.reconcile.prune import reconcile_unwanted
from sagespec.reconcile.restarts import notes_of_gateway
from sagespec.reconcile.suspended import without_suspended
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed

__all__ = ["Options", "reconcile"]


def reconcile(desired: Desired, observed: Observed, now: datetime, options: Options | None = None) -> Plan:
    """The plan that leads from `observed` to `desired`. Carried out in full, the next plan is empty.

    `now` is the time of the snapshot. Equal arguments give equal plans, byte for byte.
    """
    wanted = {job.address: job for job in desired.jobs}
    given = Given(
        desired.project_name,
        observed,
        now,
        options or Options(),
        wanted,
        models_from=desired.models_from,
        trains=desired.trains,
    )
    jobs = {job.address: reconcile_job(job, given) for job in sorted(desired.jobs, key=lambda j: j.address)}
    jobs |= without_spec(desired, given)
    gateway = reconcile_gateway(desired, observed)
    doors = () if gateway else reconcile_doors(desired, observed)
    given = replace(given, jobs=jobs, gateway=gateway, doors=doors)
    endpoints = [reconcile_endpoint(e, given) for e in sorted(desired.endpoints, key=lambda e: e.name)]
    decisions = [
        Decision(
            (*gateway, *doors),
            refused=desired.doors.problems if desired.doors else (),
            notes=(*notes_of_gateway(observed), *notes_of_doors(desired, observed, now)),
        ),
        *jobs.values(),
        *endpoints,
        *(reconcile_notebook(n, given) for n in sorted(desired.notebooks, key=lambda n: n.name)),
        reconcile_unwanted(desired, given),
    ]
    plan = Plan(
        actions=ordered(action for decision in decisions for action in decision.actions),
        unchanged=tuple(address for decision in decisions for address in decision.unchanged),
        refused=tuple(problem for decision in decisions for problem in decision.refused),
        notes=tuple(note for decision in decisions for note in decision.notes),
        held=tuple(problem for decision in decisions for problem in decision.held),
        running=_with_needs(desired, given),
        rolling=tuple(rolling for decision in decisions for rolling in decision.rolling),
    )
    named = {endpoint.address: endpoint for endpoint in desired.endpoints}
    return without_suspended(plan, given, lambda about: kept_up(named[about], given) if about in named else ())


def _with_needs(desired: Desired, given: Given) -> tuple[Running, ...]:
    """The jobs that other runs follow, each with the endpoints that wait for it."""
    running = [found for decision in given.jobs.values() for found in decision.running]
    needs = {endpoint.address: waits_for(endpoint, given) for endpoint in desired.endpoints} if running else {}
    return tuple(
        replace(found, needed_by=tuple(sorted(a for a, jobs in needs.items() if found.about in jobs)))
        for found in running
    )
