"""What has come of `accelerate` of a variant, for `status`: whether its instances serve the fast form, or why not.

Each instance leaves it in a file when it starts. Nothing is asked of the engine for variants that ask for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from sagespec.errors import WorldError
from sagespec.runtimes.protocol import Runtime
from sagespec.state.acceleration import Acceleration
from sagespec.state.observed import Observed, Route
from sagespec.state.revision import Revision

FILE = "accelerate.json"  # under /opt/ml
FILE_BYTES = 65_536


def accelerations(
    runtime: Runtime, observed: Observed, endpoint: str, live: Revision | None
) -> dict[str, Acceleration]:
    """By variant, of those whose live revision asks for it."""
    asked = {v.name: v.accelerate for v in live.asked.variants if v.accelerate} if live else {}
    route = observed.gateway.routes.get(endpoint)
    return {name: _of(word, list(_said(runtime, route, name))) for name, word in asked.items()}


def _of(asked: str, said: list[tuple[bool, str]]) -> Acceleration:
    """The first that is off, of several instances."""
    if not said:
        return Acceleration(asked, None, "")
    is_on, text = min(said)
    return Acceleration(asked, is_on, text)


def _said(runtime: Runtime, route: Route | None, variant: str) -> Iterator[tuple[bool, str]]:
    for instance in (name for t in (route.targets if route else ()) if t.variant == variant for name in t.instances):
        try:
            content = runtime.read(instance, FILE, FILE_BYTES)
            found = json.loads(content) if content else None
            if found:
                yield bool(found["is_on"]), str(found["text"])
        except (WorldError, ValueError, KeyError, TypeError):  # gone, or not written by us
            continue
