"""Takes out of a plan what somebody has suspended, repairs too, and says what is held back and why.

Called by `reconcile` last. A job that was begun is followed to its end all the same: `sagespec stop` is what ends one.
An endpoint that waits for a suspended job is not suspended: what is live of it is kept up meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sagespec.causes import Reason
from sagespec.ongoing import HeldBack, Rolling, Running, Suspended
from sagespec.plan import Action, Plan, RunJob
from sagespec.reconcile.given import Given
from sagespec.reconcile.order import ordered
from sagespec.state.addresses import Address
from sagespec.state.suspension import PROJECT, Suspension

KeepUp = Callable[[Address], tuple[Action, ...]]


def without_suspended(plan: Plan, given: Given, keep_up: KeepUp) -> Plan:
    """The plan less what is suspended now, and less what waits for that. keep_up: what repairs what is live of an
    endpoint, whatever its spec asks for."""
    found = [one for one in given.observed.suspensions if not one.is_over(given.now)]
    if not found or given.options.even_suspended:
        return plan
    active = sorted(found, key=lambda one: (one.about != PROJECT, one.about))
    held = _held(plan, active)
    rolling = {one.about: by for one in plan.rolling if (by := _of(one.about, active))}
    return replace(
        plan,
        actions=_kept_up(plan, held, active, keep_up),
        running=tuple(_needed_by_others(running, active) for running in plan.running),
        rolling=tuple(_left_alone(one) if one.about in rolling else one for one in plan.rolling),
        suspended=tuple(_suspended(one, plan, held, rolling) for one in active),
    )


def _held(plan: Plan, active: Sequence[Suspension]) -> dict[str, Suspension]:
    """By the id of each action that is held back, what holds it."""
    begun = {a.about for a in plan.actions if isinstance(a, RunJob) and a.cause.reason is Reason.ADOPTED}
    held: dict[str, Suspension] = {}
    for action in plan.actions:
        own = None if action.about.whole in begun else _of(action.about, active)
        if by := own or next((held[id] for id in action.after if id in held), None):
            held[action.id] = by
    return held


def _kept_up(
    plan: Plan, held: Mapping[str, Suspension], active: Sequence[Suspension], keep_up: KeepUp
) -> tuple[Action, ...]:
    """What is not held back; of an endpoint that only waits for what is suspended, what repairs it in its place."""
    waiting = {action.about for action in plan.actions if action.id in held and not _of(action.about, active)}
    repairs = {about: keep_up(about) for about in {one.whole for one in waiting if one.kind == "endpoint"}}
    repaired = {about for about, actions in repairs.items() if actions}
    kept = [a for a in plan.actions if a.id not in held and a.about.whole not in repaired]
    found = [*kept, *(action for about in sorted(repaired) for action in repairs[about])]
    ids = {action.id for action in found}
    return ordered(replace(action, after=tuple(id for id in action.after if id in ids)) for action in found)


def _of(address: Address, active: Sequence[Suspension]) -> Suspension | None:
    return next((one for one in active if one.covers(address)), None)


def _needed_by_others(running: Running, active: Sequence[Suspension]) -> Running:
    """Nobody waits for a job on behalf of what will not be changed when it has ended."""
    return replace(running, needed_by=tuple(about for about in running.needed_by if not _of(about, active)))


def _left_alone(rolling: Rolling) -> Rolling:
    """It stays at its step, and nobody waits for the next one."""
    return replace(rolling, has_spec=False)


def _suspended(
    one: Suspension, plan: Plan, held: Mapping[str, Suspension], rolling: Mapping[Address, Suspension]
) -> Suspended:
    mine = [_held_back(action) for action in plan.actions if held.get(action.id) == one and not action.is_quiet]
    mine += [HeldBack("rolling", r.about, r.text) for r in plan.rolling if rolling.get(r.about) == one]
    return Suspended(one, tuple(mine))


def _held_back(action: Action) -> HeldBack:
    return HeldBack(action.verb, action.about, str(action.cause))
