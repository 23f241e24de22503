"""The last minute of every variant: of this process's history, or as the loop in another process wrote it down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sagespec.traffic.history import History, Span
from sagespec.traffic.intervals import ERRORS, Variant

LATELY_SECONDS = 60.0
STALE_SECONDS = 30.0  # what was written longer ago says nothing of now: the loop that wrote it has ended


@dataclass(frozen=True)
class Lately:
    """at: the end of that minute, in seconds since 1970. seconds: how much of it was watched."""

    at: float
    seconds: float
    spans: Mapping[Variant, Span]

    def of(self, endpoint_name: str, variant: str) -> Span:
        idle = Span(self.seconds, 0, dict.fromkeys(ERRORS, 0), None, None)
        return self.spans.get((endpoint_name, variant), idle)


def lately_in(history: History, now: float) -> Lately | None:
    """None where nobody has recorded within the last half minute."""
    if now - history.recorded_at > STALE_SECONDS:
        return None
    spans = {variant: history.span(variant, now, LATELY_SECONDS) for variant in history.variants()}
    return Lately(now, history.watched(now, LATELY_SECONDS), {v: s for v, s in spans.items() if s.is_any})


def write_lately(file: Path, found: Lately) -> None:
    rows = [
        [*variant, span.requests, dict(span.errors), span.p50_ms, span.p99_ms] for variant, span in found.spans.items()
    ]
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(json.dumps({"at": found.at, "seconds": found.seconds, "variants": rows}))
    partial.replace(file)


def read_lately(file: Path, now: float) -> Lately | None:
    """What a loop wrote within the last half minute. What cannot be read was never written."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(file.read_bytes())
        if abs(now - content["at"]) <= STALE_SECONDS:
            spans = {
                (str(endpoint), str(variant)): Span(content["seconds"], int(requests), errors, p50, p99)
                for endpoint, variant, requests, errors, p50, p99 in content["variants"]
            }
            return Lately(float(content["at"]), float(content["seconds"]), spans)
    return None
