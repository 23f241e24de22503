"""An endpoint in SageMaker's words: its state, the config that it serves, its variants. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sagespec.api.sagemaker.deployment_status import is_rolling_back, pending_summary
from sagespec.api.sagemaker.records import KeptEndpoint
from sagespec.state.addresses import Address
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus, live_revision
from sagespec.verbs.states import EndpointState, EndpointWord

_LONGEST_REASON = 1024


@dataclass(frozen=True)
class EndpointSeen:
    """state: its row of `status`, if it has one. is_old: the row is of before the spec was written last."""

    state: EndpointState | None = None
    is_old: bool = False


@dataclass(frozen=True)
class EndpointWords:
    """EndpointStatus, why it is no other, and the config that serves, or is to."""

    status: str
    config: str
    reason: str = ""


def shape_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of a document tells which config a live revision came from."""
    return [
        {"name": v["name"], "model": v["model"], "weight": v.get("weight", 1), "instances": v.get("instances", 1)}
        for v in document["variants"]
    ]


def words_of(kept: KeptEndpoint, seen: EndpointSeen) -> EndpointWords:
    asked, state = kept.config_name, seen.state
    if kept.deleting_since is not None:
        return EndpointWords("Deleting", asked)
    serving = _serving(kept, state) if state else ""
    if state is None or seen.is_old or not kept.is_written:
        is_live = len(kept.asked) > 1 or (state is not None and state.live is not None)
        return EndpointWords("Updating", serving or asked) if is_live else EndpointWords("Creating", asked)
    if is_rolling_back(state):
        return EndpointWords("RollingBack", serving or asked, _reason(state))
    if state.state is EndpointWord.BLOCKED:
        reason = _reason(state)
        return (
            EndpointWords("InService", serving or asked, reason)
            if state.live
            else EndpointWords("Failed", asked, reason)
        )
    if state.live is None:
        return EndpointWords("Creating", asked)
    if state.rolling:
        return EndpointWords("Updating", serving or asked)
    if not state.is_applied and state.state is not EndpointWord.DEGRADED:
        return EndpointWords("Updating", serving or asked)
    if state.state is EndpointWord.DEGRADED and serving not in ("", asked):
        return EndpointWords("Updating", serving)
    return EndpointWords("InService", asked)


def state_from_history(about: Address, kept: KeptEndpoint, revisions: Sequence[Revision]) -> EndpointState | None:
    """What the store alone tells, where nobody can look at the specs or the engine; None for one that is not live."""
    live = live_revision(tuple(revisions))
    if live is None:
        return None
    is_applied = bool(kept.asked) and _is_same(kept.asked[-1]["variants"], _live_shape(live.asked))
    newest = revisions[-1]
    return EndpointState(
        about, EndpointWord.SERVING, "", live.number, (), live=live, newest=newest, is_applied=is_applied
    )


def described(kept: KeptEndpoint, seen: EndpointSeen, now: datetime) -> dict[str, Any]:
    """What DescribeEndpoint says, but for names. While another config is on its way, of the one that serves, and what
    is on its way beside that."""
    words, state = words_of(kept, seen), seen.state
    live = state.live.asked if state and state.live else None
    asked = shape_of(kept.document) if kept.document else []
    found: dict[str, Any] = {
        "EndpointStatus": words.status,
        "EndpointConfigName": words.config,
        "CreationTime": kept.created_at,
        "LastModifiedTime": _modified_at(kept, state),
    }
    rolling = state.rolling if state else None
    is_another = words.config != kept.config_name or rolling is not None
    is_deploying = live is not None and words.status == "Updating" and is_another
    if asked and live:
        of = _live_variants(live) if is_deploying else asked
        found["ProductionVariants"] = [_variant(one, live, kept) for one in of]
    if is_deploying and asked:
        images = kept.asked[-1].get("images", {})
        found["PendingDeploymentSummary"] = pending_summary(
            kept.config_name, asked, images, since=kept.asked[-1]["at"], rolling=rolling, now=now
        )
    if kept.deployment:
        found["LastDeploymentConfig"] = kept.deployment
    if words.reason:
        found["FailureReason"] = words.reason
    return found


def _live_variants(live: EndpointRecord) -> list[dict[str, Any]]:
    return [{"name": v.name, "weight": v.weight, "instances": v.instances} for v in live.variants]


def _variant(asked: Mapping[str, Any], live: EndpointRecord, kept: KeptEndpoint) -> dict[str, Any]:
    now = next((one for one in live.variants if one.name == asked["name"]), None)
    images = kept.asked[-1].get("images", {}) if kept.asked else {}
    image = images.get(asked["name"], "")
    return {
        "VariantName": asked["name"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": kept.modified_at}],
        "CurrentWeight": float(now.weight) if now else 0.0,
        "DesiredWeight": float(asked["weight"]),
        "CurrentInstanceCount": now.instances if now else 0,  # healthy or not, as SageMaker counts
        "DesiredInstanceCount": asked["instances"],
    }


def _serving(kept: KeptEndpoint, state: EndpointState) -> str:
    """The newest config that asked for what is live; '' where none did."""
    if state.live is None:
        return ""
    live = _live_shape(state.live.asked)
    return next((str(one["config"]) for one in reversed(kept.asked) if _is_same(one["variants"], live)), "")


def _live_shape(record: EndpointRecord) -> list[tuple[Any, ...]]:
    return sorted((v.name, v.model.text, float(v.weight), v.instances) for v in record.variants)


def _is_same(asked: Sequence[Mapping[str, Any]], live: list[tuple[Any, ...]]) -> bool:
    return sorted((v["name"], v["model"], float(v["weight"]), v["instances"]) for v in asked) == live


def _reason(state: EndpointState) -> str:
    newest = state.newest
    failed = newest is not None and newest.status is RevisionStatus.FAILED and state.detail.startswith("revision ")
    text = newest.reason if newest and failed else state.detail
    return text[:_LONGEST_REASON]


def _modified_at(kept: KeptEndpoint, state: EndpointState | None) -> float:
    ended = state.newest.ended_at.timestamp() if state and state.newest and state.newest.ended_at else 0.0
    return max(kept.modified_at, ended)
