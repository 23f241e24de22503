"""The routes of an endpoint in Envoy's words: matches, weights, refusals. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.gateway.keys import hash_policy, key_match
from sagespec.gateway.lending import MODEL_HEADER, Part, more_headers, parts_of, retry_elsewhere, variant_header
from sagespec.gateway.table import Table, TargetKey, key_of
from sagespec.spec.split import Key
from sagespec.state.observed import Route, Target

TOTAL_WEIGHT = 2**31
TYPES = "type.googleapis.com/envoy"
RETRIES = 2  # enough for two that die at once
PICKS = 100  # tries to find an instance that has not failed this request; the idle dead one looks the best
LUA = "envoy.filters.http.lua"
VARIANT_HEADER = "x-amzn-sagemaker-target-variant"


def endpoint_routes(table: Table, route: Route, timeout: str) -> list[dict[str, Any]]:
    """What becomes of requests below /endpoints/<name>/; the first match wins, and most are for the first."""
    by_variant: dict[str, list[tuple[Target, str]]] = {}
    for target in route.targets:
        pool = table.serving.get(TargetKey(route.endpoint_name, target.variant, target.hash))
        if pool:
            by_variant.setdefault(target.variant, []).append((target, pool))
    split = [choice for choices in by_variant.values() for choice in choices if choice[0].weight > 0]
    untargeted = {"name": VARIANT_HEADER, "present_match": False}
    routes = _divided(route, parts_of(route, split), untargeted, timeout) if split else []
    for variant, choices in sorted(by_variant.items()):
        weighted = [choice for choice in choices if choice[0].weight > 0] or choices[-1:]
        targeted = {"name": VARIANT_HEADER, "string_match": {"exact": variant}}
        own = [Part(pool, target.weight, key_of(pool), model=target.model) for target, pool in weighted]
        routes += _divided(route, own, targeted, timeout)
    return [*routes, refusal("unavailable")]


def _divided(route: Route, parts: Sequence[Part], header: Mapping[str, Any], timeout: str) -> list[dict[str, Any]]:
    """By the key, where the request has it; else by chance."""
    by_chance = _forward(route.endpoint_name, parts, header, timeout)
    if not route.key or len(parts) == 1:
        return [by_chance]
    key, by_key = Key.parse(route.key), _forward(route.endpoint_name, parts, header, timeout)
    by_key["match"]["headers"].append(key_match(key))
    by_key["route"]["weighted_clusters"]["use_hash_policy"] = True
    by_key["route"]["hash_policy"] = [hash_policy(key, route.endpoint_name)]
    return [by_key, by_chance]


def _forward(endpoint: str, parts: Sequence[Part], header: Mapping[str, Any], timeout: str) -> dict[str, Any]:
    weights = whole_weights([part.weight for part in parts])
    lends = {"retry_policy": retry_policy() | retry_elsewhere()} if any(part.members for part in parts) else {}
    return {
        "name": endpoint,
        "match": {
            "path": f"/endpoints/{endpoint}/invocations",
            "headers": [{"name": ":method", "string_match": {"exact": "POST"}}, header],
        },
        "route": {
            "weighted_clusters": {
                "clusters": [_cluster(part, weight) for part, weight in zip(parts, weights, strict=True)]
            },
            "prefix_rewrite": "/invocations",
            "timeout": timeout,
            **lends,
        },
    }


def _cluster(part: Part, weight: int) -> dict[str, Any]:
    named = {"x-amzn-invoked-production-variant": variant_header(part), **more_headers(part)}
    return {
        "name": part.cluster,
        "weight": weight,
        "response_headers_to_remove": [MODEL_HEADER],  # one that a model has set; before the next are added
        "response_headers_to_add": [header_entry(name, value) for name, value in named.items()],
        "typed_per_filter_config": {
            LUA: {
                "@type": f"{TYPES}.extensions.filters.http.lua.v3.LuaPerRoute",
                "filter_context": {"target": str(part.key), **({"lends": "yes"} if part.members else {})},
            }
        },
    }


def whole_weights(weights: Sequence[float]) -> list[int]:
    """Envoy's whole numbers in the same proportion; equal ones when all are 0. The sum never changes: a key's place is
    its hash modulo the sum, and a boundary moves no further than its weights do.

    >>> whole_weights([90, 10])
    [1932735283, 214748365]
    """
    total = math.fsum(weights)
    if not total:
        return whole_weights([1.0] * len(weights))
    ends = [round(math.fsum(weights[: count + 1]) / total * TOTAL_WEIGHT) for count in range(len(weights))]
    return [end - begin for begin, end in itertools.pairwise([0, *ends])]


def ping_route() -> dict[str, Any]:
    """The gateway's own health."""
    return {"match": {"path": "/ping"}, "direct_response": {"status": 200}}


def refusal(reason: str, **facts: str) -> dict[str, Any]:
    """Answered by refusals.lua, before the route's own action would be."""
    return {
        "match": {"prefix": "/"},
        "metadata": {"filter_metadata": {LUA: {"reason": reason, **facts}}},
        "typed_per_filter_config": {
            LUA: {
                "@type": f"{TYPES}.extensions.filters.http.lua.v3.LuaPerRoute",
                "name": "refusals",
            }
        },
        "direct_response": {"status": 503},
    }


def match_first(routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "action": {
            "name": "route",
            "typed_config": {"@type": f"{TYPES}.config.route.v3.RouteList", "routes": routes},
        }
    }


def header_input(name: str, header: str) -> dict[str, Any]:
    return {
        "name": name,
        "typed_config": {"@type": f"{TYPES}.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": header},
    }


def header_entry(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def retry_policy() -> dict[str, Any]:
    """A request is sent to another instance only if it certainly reached none: it was not connected, or not taken.
    What a model has begun it may have done, and what killed one would kill the next."""
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": RETRIES,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": PICKS,
    }
