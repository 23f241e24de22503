"""How many requests a pool takes at once and lets wait, in Envoy's words. Pure.

An HTTP/1 connection carries one request at a time, so a bound on connections is one on requests; who finds none free
waits. (A bound on requests itself would refuse at once.) Envoy's bounds are of a pool: those of its instances together.
Each of its workers gets one connection to each instance in any case.
"""

from __future__ import annotations

from typing import Any

from sagespec.gateway.table import limits_of

UNLIMITED = 2**30


def circuit_breakers(pool_name: str = "", instances: int = 1) -> dict[str, Any]:
    """Who waits for a connection to be made counts as waiting, so there is room for them besides: what the queue holds
    is never refused. While all connections are made, so many more wait."""
    bounds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED)
    limits = limits_of(pool_name)
    if limits:
        bounds["max_connections"] = limits.concurrency * instances
        bounds["max_pending_requests"] = (limits.queue + limits.concurrency) * instances
    return {"thresholds": [bounds]}
