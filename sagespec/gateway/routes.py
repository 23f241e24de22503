"""The routes of an endpoint in Envoy's words: matches, weights, refusals. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.gateway.table import Table, TargetKey, key_of
from sagespec.state.observed import Route, Target

TOTAL_WEIGHT = 2**31
TYPES = "type.googleapis.com/envoy"
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
    routes = [_forward(route.endpoint_name, split, untargeted, timeout)] if split else []
    for variant, choices in sorted(by_variant.items()):
        weighted = [choice for choice in choices if choice[0].weight > 0] or choices[-1:]
        targeted = {"name": VARIANT_HEADER, "string_match": {"exact": variant}}
        routes.append(_forward(route.endpoint_name, weighted, targeted, timeout))
    return [*routes, refusal("unavailable")]


def _forward(
    endpoint: str, choices: Sequence[tuple[Target, str]], header: Mapping[str, Any], timeout: str
) -> dict[str, Any]:
    weights = whole_weights([target.weight for target, _ in choices])
    clusters = [
        {
            "name": pool,
            "weight": weight,
            "response_headers_to_add": [header_entry("x-amzn-invoked-production-variant", target.variant)],
            "typed_per_filter_config": {
                LUA: {
                    "@type": f"{TYPES}.extensions.filters.http.lua.v3.LuaPerRoute",
                    "filter_context": {"target": str(key_of(pool))},
                }
            },
        }
        for (target, pool), weight in zip(choices, weights, strict=True)
    ]
    return {
        "name": endpoint,
        "match": {
            "path": f"/endpoints/{endpoint}/invocations",
            "headers": [{"name": ":method", "string_match": {"exact": "POST"}}, header],
        },
        "route": {
            "weighted_clusters": {"clusters": clusters},
            "prefix_rewrite": "/invocations",
            "timeout": timeout,
        },
    }


def whole_weights(weights: Sequence[float]) -> list[int]:
    """Envoy's whole numbers in the same proportion; equal ones when all are 0.

    >>> whole_weights([90, 10])
    [1932735283, 214748365]
    """
    total = math.fsum(weights)
    if not total:
        return [1] * len(weights)
    return [max(round(weight / total * TOTAL_WEIGHT), 1) for weight in weights]


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
