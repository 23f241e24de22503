"""What happened between two readings of the gateway's counters. Pure.

Counters begin at zero again when the gateway is started again, and those of a target when its instances are all gone
and come back. So one that is smaller than before has counted from zero: at worst an interval says too little, never
too much and never less than nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from sagespec.gateway.table import TargetKey
from sagespec.gateway.totals import Totals
from sagespec.traffic.latencies import Histogram, added, since

Variant = tuple[str, str]  # endpoint and variant; without a variant: what reached none of them


@dataclass(frozen=True)
class Interval:
    """Of one variant: what happened within `seconds`. Errors by what went wrong; model_4xx and model_5xx are answers
    of the model. client: refused before a model was asked, so not among the requests. active, waiting: at its
    end."""

    seconds: float
    requests: int = 0
    model_4xx: int = 0
    model_5xx: int = 0
    timeouts: int = 0
    no_answer: int = 0
    no_instance: int = 0
    overloaded: int = 0
    client: int = 0
    active: int = 0
    waiting: int = 0
    latencies: Histogram = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """That count against the variant: all but the client's own."""
        return sum(getattr(self, kind) for kind in ERRORS if kind != "client")

    @property
    def is_idle(self) -> bool:
        return not (self.requests or self.active or any(getattr(self, kind) for kind in ERRORS))


ERRORS = ("model_4xx", "model_5xx", "timeouts", "no_answer", "no_instance", "overloaded", "client")
_COUNTS = tuple(f.name for f in fields(Totals) if f.name not in ("active", "waiting", "latencies"))


def intervals(
    before: Mapping[TargetKey, Totals], now: Mapping[TargetKey, Totals], seconds: float
) -> dict[Variant, Interval]:
    """By variant, all of its targets together. before: of all targets ever seen, as they were seen last."""
    found: dict[Variant, list[Interval]] = {}
    nothing = Totals()
    for key, totals in now.items():
        variant, then = (key.endpoint_name, key.variant), before.get(key, nothing)
        is_idle = totals == then  # most are, of many
        interval = (
            Interval(seconds, active=totals.active, waiting=totals.waiting)
            if is_idle
            else between(then, totals, seconds)
        )
        found.setdefault(variant, []).append(interval)
    return {variant: together(parts, seconds) for variant, parts in found.items()}


def between(before: Totals, now: Totals, seconds: float) -> Interval:
    more = {name: _increase(getattr(before, name), getattr(now, name)) for name in _COUNTS}
    ours = more["timeouts"] + more["no_answer"] + more["no_instance"] + more["overloaded"]
    return Interval(
        seconds,
        requests=more["requests"],
        model_4xx=more["errors_4xx"],
        model_5xx=max(0, more["errors_5xx"] - ours),
        timeouts=more["timeouts"],
        no_answer=more["no_answer"],
        no_instance=more["no_instance"],
        overloaded=more["overloaded"],
        client=more["client"],
        active=now.active,
        waiting=now.waiting,
        latencies=since(before.latencies, now.latencies),
    )


def _increase(before: int, now: int) -> int:
    return now - before if now >= before else now


def together(parts: Iterable[Interval], seconds: float) -> Interval:
    """Intervals of several targets, or that follow each other, as one. In flight are those of all, which is right
    side by side, and for what follows each other the caller's to say."""
    kept = list(parts)
    if len(kept) == 1:
        return kept[0] if kept[0].seconds == seconds else replace(kept[0], seconds=seconds)
    counts = {name: sum(getattr(part, name) for part in kept) for name in ("requests", "active", "waiting", *ERRORS)}
    return Interval(seconds, **counts, latencies=added(part.latencies for part in kept))
