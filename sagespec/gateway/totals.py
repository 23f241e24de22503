"""What the gateway has counted of each target since it started, read back with whole histograms of latencies. Pure.

`answers.Counters` is the same for a table of today; these are to be subtracted from each other (`traffic`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sagespec.gateway.table import Table, TargetKey
from sagespec.state.observed import Probe

# Envoy's `detailed` buckets are those of its histograms themselves: two decimal digits, so within 10 % of a latency.
TOTALS_PATH = (
    "/stats?format=json&histogram_buckets=detailed"
    "&filter=(upstream_rq_|xx$|lua.*(timeout|no_answer|no_instance|overloaded|client|sent|took)$)"
)

_COMPLETED, _ACTIVE, _TIME = "upstream_rq_completed", "upstream_rq_active", "upstream_rq_time"
_WAITING = "upstream_rq_pending_active"
_SENT, _TOOK = "sent", "took"  # the same of requests whose target might have lent them: counted by who answered


@dataclass(frozen=True)
class Totals:
    """Of one target, or of an endpoint as a whole where no target was reached (then it has the key `NAME//`).

    requests: that a model or its place was asked. errors_5xx: what models answered, and what the gateway answered in
    their place: timeouts, no_answer, no_instance, overloaded; a gateway of an earlier release does not count those
    four apart. client: refused, never sent to a model. latencies: how many requests took how long, by the lower bound
    of the bucket in milliseconds. active, waiting: right now; of those that wait no model has been asked yet.
    """

    requests: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    timeouts: int = 0
    no_answer: int = 0
    no_instance: int = 0
    overloaded: int = 0
    client: int = 0
    active: int = 0
    waiting: int = 0
    latencies: Mapping[float, int] = field(default_factory=dict)


_FIELDS = {
    _COMPLETED: "requests",
    _SENT: "requests",
    "4xx": "errors_4xx",
    "5xx": "errors_5xx",
    "timeout": "timeouts",
    "no_answer": "no_answer",
    "no_instance": "no_instance",
    "overloaded": "overloaded",
    "client": "client",
    _ACTIVE: "active",
    _WAITING: "waiting",
}


def totals_from(answer: bytes) -> dict[TargetKey, Totals]:
    """By target, from the answer to TOTALS_PATH."""
    counts: dict[TargetKey, dict[str, int]] = {}
    latencies: dict[TargetKey, dict[float, int]] = {}
    for stat in json.loads(answer)["stats"]:
        if "histograms" in stat:
            latencies |= _latencies(stat["histograms"])
        else:
            named = _named(stat["name"])
            if named and named[1] in _FIELDS:
                mine, field_name = counts.setdefault(named[0], {}), _FIELDS[named[1]]
                mine[field_name] = mine.get(field_name, 0) + int(stat["value"])
    return {key: Totals(**values, latencies=latencies.get(key, {})) for key, values in counts.items()}


def _named(stat_name: str) -> tuple[TargetKey, str] | None:
    """Whose number it is, and which one."""
    text, _, number = stat_name.removeprefix("cluster.").removeprefix("http.gateway.lua.").rpartition(".")
    parts = text.split("/")
    if len(parts) not in (1, 3) or not parts[0]:
        return None
    return TargetKey(*(*parts, "", "")[:3]), number


def _latencies(histograms: Mapping[str, Any]) -> dict[TargetKey, dict[float, int]]:
    found: dict[TargetKey, dict[float, int]] = {}
    for histogram in histograms.get("details", ()):
        named = _named(histogram["name"])
        if named and named[1] in (_TIME, _TOOK):
            mine = found.setdefault(named[0], {})
            for bucket in histogram.get("totals", ()):
                bound = float(bucket["lower_bound"])
                mine[bound] = mine.get(bound, 0) + int(bucket["count"])
    return found


def healthy_by_variant(table: Table, probes: Mapping[str, Probe]) -> dict[tuple[str, str], int]:
    """How many instances of each variant get requests and are healthy, by (endpoint, variant)."""
    found: dict[tuple[str, str], int] = {}
    for name, route in table.routes.items():
        for target in route.targets:
            healthy = sum(one in probes and probes[one].healthy for one in target.instances)
            found[name, target.variant] = found.get((name, target.variant), 0) + healthy
    return found


def width_of(lower_bound: float) -> float:
    """Of the bucket that begins there: a tenth of its power of ten.

    >>> width_of(0), width_of(1.0), width_of(35.0), width_of(120.0)
    (0.0, 0.1, 1.0, 10.0)
    """
    if lower_bound <= 0:
        return 0.0
    return float(10.0 ** (math.floor(math.log10(lower_bound) + 1e-9) - 1))
