"""The traffic of an endpoint as its pages and their charts have it. Pure, but for the history it is asked of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.traffic.history import History, Span, Step
from sagespec.traffic.intervals import ERRORS

WINDOWS: Mapping[str, tuple[float, float]] = {"15m": (15 * 60.0, 5.0), "24h": (24 * 3600.0, 300.0)}  # length and step
WINDOW_WORDS = {"15m": "15 min", "24h": "24 h"}
KINDS = {
    "model_4xx": "answered 4xx",
    "model_5xx": "answered 5xx",
    "timeouts": "timed out",
    "no_answer": "broke off",
    "no_instance": "had no instance",
    "overloaded": "met a full gateway",
    "client": "refused by the gateway",
}


@dataclass(frozen=True)
class Row:
    """One variant in one window. share: of the endpoint's requests in that time, None without any."""

    variant: str
    window: str
    span: Span
    share: float | None

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """What went wrong, in words, and how often; nothing that did not."""
        return [(KINDS[kind], count) for kind, count in self.span.errors.items() if count]

    def as_json(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "window": self.window,
            "watched_seconds": round(self.span.seconds, 1),
            "requests": self.span.requests,
            "share": self.share,
            "errors": dict(self.span.errors),
            "failed": self.span.failed,
            "p50_ms": self.span.p50_ms,
            "p99_ms": self.span.p99_ms,
        }


def rows_of(history: History, endpoint_name: str, variants: Sequence[str], now: float) -> list[Row]:
    """The variants in each window; '' stands for requests that reached none, where there were any."""
    rows = []
    for window, (seconds, _) in WINDOWS.items():
        spans = {variant: history.span((endpoint_name, variant), now, seconds) for variant in (*variants, "")}
        total = sum(span.requests for span in spans.values())
        rows += [
            Row(variant, window, span, span.requests / total if total else None)
            for variant, span in spans.items()
            if variant or span.is_any
        ]
    return rows


def chart_data(
    history: History, endpoint_name: str, variants: Sequence[str], *, window: str, now: float
) -> dict[str, Any]:
    """For traffic.js: numbers by step, null where nothing is known. Errors of all variants together."""
    seconds, step_seconds = WINDOWS[window]
    end = now - now % step_seconds + step_seconds  # the step that has not ended is shown as far as it has come
    found = {variant: history.steps((endpoint_name, variant), end, seconds, step_seconds) for variant in variants}
    reached_none = history.steps((endpoint_name, ""), end, seconds, step_seconds)
    every = [*found.values(), reached_none]
    return {
        "window": window,
        "step_seconds": step_seconds,
        "at": [min(step.at, round(now, 1)) for step in reached_none],
        "variants": [{"name": name, **_columns(steps)} for name, steps in found.items()],
        "errors": [
            {"name": KINDS[kind], "rate": totals}
            for kind in ERRORS
            if any(totals := [_rounded(_total(steps, kind)) for steps in zip(*every, strict=True)])
        ],
    }


def _columns(steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "rate": [_rounded(step.rate) for step in steps],
        "p50": [_rounded(step.p50_ms) for step in steps],
        "p99": [_rounded(step.p99_ms) for step in steps],
        "active": [None if step.rate is None else step.active for step in steps],
        "healthy": [step.healthy for step in steps],
    }


def _total(steps: Sequence[Step], kind: str) -> float | None:
    if all(step.rate is None for step in steps):
        return None
    return sum(step.errors[kind] for step in steps)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
