"""What of a plan is drift, and what is pending.

Pending is what the specs ask for and has not been applied. Drift is what was applied and is no longer there, or is
other than it was: somebody, or something, has changed what runs behind our back. `show` prints the two apart, and
`sagespec drift` has nothing but the second, and what is stale. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sagespec.causes import Reason
from sagespec.plan import Action, Plan, RecordRevision
from sagespec.state.addresses import Address


def drift_ids(plan: Plan) -> frozenset[str]:
    """The ids of the actions that repair. What only follows others is of the same kind as all that it waits for; what
    waits for nothing, as all else that is done to its job or endpoint."""
    own: dict[Address, set[Reason]] = {}
    for action in plan:
        if action.cause.reason is not Reason.FOLLOWS:
            own.setdefault(action.about.whole, set()).add(action.cause.reason)
    ids, found = {action.id for action in plan}, set[str]()

    def is_drift(action: Action) -> bool:
        if isinstance(action, RecordRevision) and action.cause.reason is not Reason.DRIFT:
            return False  # a revision is recorded for what is not live yet
        if action.cause.reason is not Reason.FOLLOWS:
            return action.cause.reason is Reason.DRIFT
        waits_for = ids.intersection(action.after)
        return found.issuperset(waits_for) if waits_for else own.get(action.about.whole) == {Reason.DRIFT}

    for action in plan:  # what it waits for comes before it
        if is_drift(action):
            found.add(action.id)
    return frozenset(found)


def drift_of(plan: Plan) -> Plan:
    """Nothing but the drift, and what is stale. What only the specs ask for is left out, and so is what of them is
    refused."""
    ids = drift_ids(plan)
    return replace(
        _only(plan, lambda action: action.id in ids), refused=(), running=(), rolling=(), notes=(), versions=()
    )


def pending_of(plan: Plan) -> Plan:
    """All but the drift."""
    ids = drift_ids(plan)
    return _only(plan, lambda action: action.id not in ids)


def _only(plan: Plan, is_kept: Callable[[Action], bool]) -> Plan:
    kept = [action for action in plan if is_kept(action)]
    ids = {action.id for action in kept}
    actions = tuple(replace(action, after=tuple(id for id in action.after if id in ids)) for action in kept)
    return replace(plan, actions=actions)
