"""The variants of an endpoint side by side: what was counted of late, what all of it comes to, and the verdict."""

from __future__ import annotations

import time
from contextlib import suppress

from flask import Blueprint, Response, jsonify

from sagespec.dashboard.desk import desk
from sagespec.dashboard.pages.endpoint import STALE_SECONDS, state_of
from sagespec.dashboard.rendering import page
from sagespec.dashboard.traffic import Row, rows_of
from sagespec.errors import SagespecError
from sagespec.verbs.compare import Comparison

pages = Blueprint("ab", __name__)
AT = "/endpoints/<name>/ab"


@pages.get(AT)
def ab(name: str) -> Response:
    now = time.time()
    is_watched = now - desk().project.parts.traffic.recorded_at < STALE_SECONDS
    return page(
        "ab", endpoint=state_of(name), rows=_rows(name, now), is_watched=is_watched, comparison=_comparison(name)
    )


@pages.get(f"{AT}.json")
def ab_json(name: str) -> Response:
    """What was counted of each variant, in each window."""
    found = _comparison(name)
    rows = [row.as_json() for row in _rows(name, time.time())]
    return jsonify({"variants": rows, "comparison": found.as_json() if found else None})


def _comparison(name: str) -> Comparison | None:
    """None of an endpoint that is not live, or while the store is away."""
    with suppress(SagespecError, OSError):
        return desk().project.compare(name)
    return None


def _rows(name: str, now: float) -> list[Row]:
    names = [variant.name for variant in state_of(name).variants]
    return [row for row in rows_of(desk().project.parts.traffic, name, names, now) if row.variant]
