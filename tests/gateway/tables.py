"""Tables of the gateway for tests, and what Envoy would make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.gateway.documents import EnvoyFile
from sagespec.gateway.table import Places, Table, TargetKey, with_route
from sagespec.state.observed import Route, Target

PLACES = {name: (f"10.0.0.{index}", 8080) for index, name in enumerate("abcdef", start=1)}
STABLE, CANDIDATE = TargetKey("churn", "stable", "1-aa"), TargetKey("churn", "candidate", "1-bb")


def a_target(key: TargetKey, weight: float, instances: Sequence[str] = "", draining: Sequence[str] = "") -> Target:
    return Target(key.variant, key.hash, weight, tuple(instances), tuple(draining))


def routed(*targets: Target, table: Table | None = None, places: Places = PLACES) -> Table:
    return with_route(table or Table(), "churn", Route("churn", tuple(sorted(targets))), places)


def names_in(table: Table, pool: str) -> list[str]:
    return [instance.name for instance in table.pools[pool]]


def config_dump(document: EnvoyFile) -> bytes:
    """What Envoy answers to TABLE_PATH once it has taken up `document`."""
    (routes,) = json.loads(document.content)["resources"]
    return json.dumps({"configs": [{"route_config": {"metadata": routes["metadata"]}}]}).encode()


def routes_to(document: EnvoyFile, target_variant: str | None = None) -> dict[str, dict[str, int]]:
    """Weights by pool, by endpoint, of requests with this Target-Variant. Follows the document as Envoy does."""
    (routes,) = json.loads(document.content)["resources"]
    tree = routes["virtual_hosts"][0]["matcher"]["on_no_match"]["matcher"]["matcher_tree"]
    found = {}
    for prefix, match in tree["prefix_match_map"]["map"].items():
        if prefix == "/ping":
            continue
        for route in match["action"]["typed_config"]["routes"]:
            if all(_matches(header, target_variant) for header in route["match"].get("headers", ())):
                break
        clusters = route.get("route", {}).get("weighted_clusters", {}).get("clusters", ())
        found[prefix.split("/")[2]] = {cluster["name"]: cluster["weight"] for cluster in clusters}
    return found


def _matches(header: Mapping[str, Any], target_variant: str | None) -> bool:
    if header["name"] == ":method":
        return True
    return target_variant is None if "present_match" in header else header["string_match"]["exact"] == target_variant


def variants_of(weights: Mapping[str, int]) -> set[str]:
    return {pool.split("/")[1] for pool in weights}
