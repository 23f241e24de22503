"""What the gateway has counted of each endpoint, together with which gateway it is and how it splits requests. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from sagespec.gateway.answers import LISTENERS_PATH, TABLE_PATH, table_from
from sagespec.gateway.table import Table, TargetKey
from sagespec.gateway.totals import TOTALS_PATH, Totals, totals_from
from sagespec.state.counts import Counts, Reading

# Asked twice which one it is: started again in between, it would have counted for another.
READING_PATHS = (LISTENERS_PATH, TABLE_PATH, TOTALS_PATH, LISTENERS_PATH)


def readings_from(before: bytes, table: bytes, totals: bytes, after: bytes) -> dict[str, Reading]:
    """By endpoint, from the answers to READING_PATHS; none where the gateway was started again meanwhile."""
    gateway = _started(before)
    if not gateway or gateway != _started(after):
        return {}
    counts: dict[str, dict[str, Counts]] = {}
    for key, found in totals_from(totals).items():
        if key.variant:
            counts.setdefault(key.endpoint_name, {})[f"{key.variant}/{key.hash}"] = counts_from(found)
    live = table_from(table)
    names = counts.keys() | live.routes.keys()
    return {name: Reading(gateway, counts.get(name, {}), shares_of(live, name)) for name in names}


def _started(listeners: bytes) -> str:
    """When Envoy made its listener, to the microsecond: no two are the same."""
    return next((str(one.get("last_updated", "")) for one in json.loads(listeners).get("configs", ())), "")


def counts_from(found: Totals) -> Counts:
    return Counts(
        requests=found.requests,
        errors=found.errors_4xx + found.errors_5xx,
        errors_4xx=found.errors_4xx,
        latencies=dict(found.latencies),
    )


def shares_of(table: Table, endpoint_name: str) -> Mapping[str, float]:
    """Of an endpoint's requests, by target, in the route's order; of those that name no variant."""
    route = table.routes.get(endpoint_name)
    serving = (
        [t for t in route.targets if t.weight > 0 and _serves(table, endpoint_name, t.variant, t.hash)] if route else []
    )
    total = math.fsum(target.weight for target in serving)
    return {f"{target.variant}/{target.hash}": target.weight / total for target in serving}


def _serves(table: Table, endpoint_name: str, variant: str, hash_text: str) -> bool:
    return TargetKey(endpoint_name, variant, hash_text) in table.serving
