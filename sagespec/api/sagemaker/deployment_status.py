"""What DescribeEndpoint says of a deployment that is under way: PendingDeploymentSummary. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sagespec.ongoing import Rolling
from sagespec.state.revision import RevisionStatus
from sagespec.state.rollout import Ending
from sagespec.verbs.states import EndpointState

_TAKEN_BACK = (Ending.TAKEN_BACK, Ending.ABORTED)


def is_rolling_back(state: EndpointState) -> bool:
    """Whether its rollout was taken back, and what is left of that is being removed."""
    newest = state.newest
    if newest is None or newest.rollout is None or newest.status is not RevisionStatus.FAILED:
        return False
    return newest.rollout.ending in _TAKEN_BACK and not state.is_settled


def pending_summary(
    config_name: str,
    asked: Sequence[Mapping[str, Any]],
    images: Mapping[str, str],
    *,
    since: float,
    rolling: Rolling | None,
    now: datetime,
) -> dict[str, Any]:
    """asked: the variants that are to serve. since: when that was asked for, in seconds since 1970."""
    return {
        "EndpointConfigName": config_name,
        "StartTime": since,
        "ProductionVariants": [
            _pending(one, images.get(one["name"], ""), since=since, rolling=rolling, now=now) for one in asked
        ],
    }


def _pending(
    asked: Mapping[str, Any], image: str, *, since: float, rolling: Rolling | None, now: datetime
) -> dict[str, Any]:
    count = asked["instances"]
    return {
        "VariantName": asked["name"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": since}],
        "CurrentWeight": round(asked["weight"] * rolling.share, 6) if rolling else 0.0,
        "DesiredWeight": float(asked["weight"]),
        "CurrentInstanceCount": _instances(rolling, count) if rolling else 0,
        "DesiredInstanceCount": count,
        "VariantStatus": [_status(rolling, count, since=since, now=now)],
    }


def _instances(rolling: Rolling, count: int) -> int:
    """A canary's instances are all there from the start; a rolling one's come with its steps."""
    return math.ceil(rolling.share * count) if rolling.strategy == "rolling" else count


def _status(rolling: Rolling | None, count: int, *, since: float, now: datetime) -> dict[str, Any]:
    if rolling is None:
        return {"Status": "Creating", "StatusMessage": f"Launching {count} instance(s).", "StartTime": since}
    is_last = rolling.step == rolling.steps
    on = "full capacity" if is_last else f"{rolling.strategy} capacity"
    some = count if is_last else math.ceil(rolling.share * count)
    if rolling.ends_at is None or now >= rolling.ends_at:
        text = f"Activating traffic on {on} of {some} instance(s)."
        return {"Status": "ActivatingTraffic", "StatusMessage": text, "StartTime": rolling.since.timestamp()}
    seconds = round((rolling.ends_at - rolling.since).total_seconds())
    named = "TerminationWaitInSeconds" if is_last else "WaitIntervalInSeconds"
    text = f"Baking for {seconds} seconds ({named}) with traffic enabled on {on} of {some} instance(s)."
    return {"Status": "Baking", "StatusMessage": text, "StartTime": rolling.since.timestamp()}
