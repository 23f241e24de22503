"""What was counted of each model since there are figures of it: numbers that only grow, for Prometheus.

The gateway counts from zero when it is started again, and forgets a target whose instances are gone; the loop that
reads it may be started again, too. So what was added up is kept in a file, with the reading that it was added up to.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from sagespec.gateway.table import TargetKey
from sagespec.gateway.totals import Totals
from sagespec.private import write_private
from sagespec.traffic.intervals import Interval, between, together

FORMAT = 1
WRITE_SECONDS = 10.0
FORGET_SECONDS = 24 * 3600.0  # a model that nobody has asked for so long, and that the gateway no longer has


class Served(NamedTuple):
    """Of what numbers are kept. variant and model: '' for what reached none."""

    endpoint: str
    variant: str
    model: str


@dataclass(frozen=True)
class Sum:
    """at: when there was anything to count last, in seconds since 1970."""

    counted: Interval
    at: float


class Grown:
    """file: where it is kept. Safe to use from several threads."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock = file, clock
        self._lock = threading.Lock()
        self._written_at = float("-inf")
        self._seen: dict[TargetKey, tuple[str, Totals]] = {}  # model and totals
        self._sums: dict[Served, Sum] = {}
        self._active: dict[Served, int] = {}  # in flight, at the last reading
        self._waiting: dict[Served, int] = {}
        with suppress(OSError, ValueError, TypeError, KeyError):  # what cannot be read was never written
            self._seen, self._sums = _read(json.loads(file.read_bytes()))

    def add(self, totals: Mapping[TargetKey, Totals], models: Mapping[TargetKey, str]) -> None:
        """One more reading. models: of the targets; one whose model is not known yet counts once it is."""
        with self._lock:
            now, self._active, self._waiting = self._clock(), {}, {}
            for key, found in totals.items():
                model = models.get(key, self._seen[key][0] if key in self._seen else None) if key.variant else ""
                if model is not None:
                    self._count(key, model, found, now)
            self._forget(totals, now)
            if now - self._written_at >= WRITE_SECONDS:
                self._written_at = now
                with suppress(OSError):  # a full disk costs what was counted since, once the loop has ended
                    write_private(self._file, json.dumps(self._as_json()))

    def sums(self) -> dict[Served, Interval]:
        with self._lock:
            return {
                served: replace(kept.counted, active=self._active.get(served, 0), waiting=self._waiting.get(served, 0))
                for served, kept in sorted(self._sums.items())
            }

    def _count(self, key: TargetKey, model: str, found: Totals, now: float) -> None:
        before = self._seen[key][1] if key in self._seen else Totals()
        self._seen[key] = model, found
        served = Served(key.endpoint_name, key.variant, model)
        self._active[served] = self._active.get(served, 0) + found.active
        self._waiting[served] = self._waiting.get(served, 0) + found.waiting
        if found != before or served not in self._sums:
            counted = self._sums[served].counted if served in self._sums else Interval(0.0)
            self._sums[served] = Sum(together((counted, between(before, found, 0.0)), 0.0), now)

    def _forget(self, totals: Mapping[TargetKey, Totals], now: float) -> None:
        def is_kept(key: TargetKey, model: str) -> bool:
            return key in totals or Served(key.endpoint_name, key.variant, model) in self._sums

        there = {Served(k.endpoint_name, k.variant, model) for k, (model, _) in self._seen.items() if k in totals}
        self._sums = {s: kept for s, kept in self._sums.items() if s in there or now - kept.at < FORGET_SECONDS}
        self._seen = {key: (model, seen) for key, (model, seen) in self._seen.items() if is_kept(key, model)}

    def _as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "seen": [[*key, model, _plain(asdict(totals))] for key, (model, totals) in self._seen.items()],
            "sums": [[*served, kept.at, _plain(asdict(kept.counted))] for served, kept in self._sums.items()],
        }


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"latencies": sorted(fields["latencies"].items())}


def _read(content: Mapping[str, Any]) -> tuple[dict[TargetKey, tuple[str, Totals]], dict[Served, Sum]]:
    if content["format"] != FORMAT:
        raise ValueError
    seen = {
        TargetKey(e, v, h): (model, Totals(**_with_latencies(fields))) for e, v, h, model, fields in content["seen"]
    }
    sums = {Served(e, v, m): Sum(Interval(**_with_latencies(fields)), at) for e, v, m, at, fields in content["sums"]}
    return seen, sums


def _with_latencies(fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(fields) | {"latencies": {float(bound): int(count) for bound, count in fields["latencies"]}}
