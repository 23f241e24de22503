"""A variant without a healthy instance lends its share to the others, in Envoy's words. Pure.

Requests for a target go to an aggregate cluster: the target's own pool, then those of the others. Envoy takes the
first that has a healthy instance, at once and without us, and comes back to the target as soon as that has one. The
interval of a lender has a part for each variant that would borrow, so that they share it by their weights, and a
caller is always lent to the same one.

Who answered is known by the instance alone: it carries its target, and the route's headers name it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sagespec.gateway.table import Table, TargetKey, is_lending, key_of, lending_name, model_of
from sagespec.state.observed import Route, Target

Choices = Sequence[tuple[Target, str]]  # targets that get requests, each with its pool

TYPES = "type.googleapis.com/envoy"
NAMESPACE = "sagespec"
MODEL_HEADER = "x-sagespec-model"
TARGET_HEADER, TOOK_HEADER = "x-sagespec-target", "x-sagespec-took"  # for model_errors.lua, which takes them away
ONE_IS_ENOUGH = 100 * 100  # percent: a pool is whole while one of a hundred instances is healthy
TRIED_AT_HOME = 2  # times that a request is sent to its own target before it is lent
OWN_STATISTICS = "lent.requests"  # the dot keeps them out of Envoy's list: model_errors.lua counts by who answered


class Part(NamedTuple):
    """A part of the requests: the cluster they go to, its weight, who that is, and who would be next. model: its name,
    '' where there is none to tell."""

    cluster: str
    weight: float
    key: TargetKey
    members: tuple[str, ...] = ()
    model: str = ""


def parts_of(route: Route, choices: Choices) -> list[Part]:
    return [part for choice in choices for part in _parts(route, choice, choices)]


def _parts(route: Route, choice: tuple[Target, str], choices: Choices) -> Iterator[Part]:
    target, pool = choice
    key = key_of(pool)
    siblings = [other for one, other in choices if one.variant == target.variant and other != pool]
    borrowers: dict[str, list[tuple[Target, str]]] = {}
    for one in choices:
        if one[0].variant != target.variant:
            borrowers.setdefault(one[0].variant, []).append(one)
    if not route.lends or not (siblings or borrowers):
        yield Part(pool, target.weight, key, model=target.model)
        return
    weights = {variant: sum(one.weight for one, _ in theirs) for variant, theirs in borrowers.items()}
    for first in borrowers or [target.variant]:
        order = [first, *(variant for variant in borrowers if variant != first)]
        lent = [other for variant in order for _, other in borrowers.get(variant, ())]
        share = weights[first] / sum(weights.values()) if borrowers else 1.0
        yield Part(lending_name(key, first), target.weight * share, key, (pool, *siblings, *lent))


def lending_clusters(table: Table) -> dict[str, tuple[str, ...]]:
    """The aggregate clusters of a table: the names of their pools in order, by their own names."""
    found: dict[str, tuple[str, ...]] = {}
    for name, route in table.routes.items():
        pools = ((target, table.serving.get(TargetKey(name, target.variant, target.hash))) for target in route.targets)
        choices = [(target, pool) for target, pool in pools if pool and target.weight > 0]
        found |= {part.cluster: part.members for part in parts_of(route, choices) if part.members}
    return found


def variant_header(part: Part) -> str:
    """What names the variant that answered; nothing where none did."""
    return f"%UPSTREAM_METADATA({NAMESPACE}:variant)%" if part.members else part.key.variant


def more_headers(part: Part) -> dict[str, str]:
    if not part.members:
        return {MODEL_HEADER: part.model} if part.model else {}
    return {
        MODEL_HEADER: f"%UPSTREAM_METADATA({NAMESPACE}:model)%",
        TARGET_HEADER: f"%UPSTREAM_METADATA({NAMESPACE}:target)%",
        TOOK_HEADER: "%COMMON_DURATION(DS_RX_END:US_RX_BEG:ms)%",
    }


def of_instances(pool: str) -> dict[str, Any]:
    """What the instances of a pool carry."""
    if not is_lending(pool):
        return {}
    key, model = key_of(pool), model_of(pool)
    named = {"variant": key.variant, "target": str(key), **({"model": model} if model else {})}
    return {"metadata": {"filter_metadata": {NAMESPACE: named}}}


def of_pool(pool: str) -> dict[str, Any]:
    return {"policy": {"overprovisioning_factor": ONE_IS_ENOUGH}} if is_lending(pool) else {}


def retry_elsewhere() -> dict[str, Any]:
    """For a retry policy: a request that could not be sent to its own target is sent to the next one."""
    return {
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{TYPES}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": TRIED_AT_HOME,
            },
        }
    }
