"""The order of a plan's actions. Called by `reconcile`."""

from __future__ import annotations

from collections.abc import Iterable

from sagespec.errors import InternalError
from sagespec.plan import Action


def ordered(actions: Iterable[Action]) -> tuple[Action, ...]:
    """The actions, each after those it waits for; otherwise in the order given.

    InternalError when two share an id, one waits for an unknown one, or they wait in a circle.
    """
    waiting = list(actions)
    ids = [action.id for action in waiting]
    if len(set(ids)) != len(ids):
        raise InternalError(f"two actions share an id: {sorted({i for i in ids if ids.count(i) > 1})}")
    known, done, result = set(ids), set[str](), list[Action]()
    for action in waiting:
        if missing := set(action.after) - known:
            raise InternalError(f"{action.id} waits for {sorted(missing)}, which the plan does not hold")
    while waiting:
        later: list[Action] = []
        for action in waiting:
            if done.issuperset(action.after):
                result.append(action)
                done.add(action.id)
            else:
                later.append(action)
        if len(later) == len(waiting):
            raise InternalError(f"actions wait for each other: {[action.id for action in later]}")
        waiting = later
    return tuple(result)
