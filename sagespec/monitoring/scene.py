"""What the loop saw at its last look, as far as it is shown to Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sagespec.ongoing import Rolling
from sagespec.state.source import HeldReason, SourceRecord


@dataclass(frozen=True)
class ModelSeen:
    """One model of a variant. healthy: instances that get requests and answer. share: of the endpoint's requests, 0 to
    1."""

    endpoint: str
    variant: str
    model: str
    healthy: int
    share: float


@dataclass(frozen=True)
class SourceSeen:
    """The branch that is followed. commit: that is applied; '' for none yet. behind_seconds: since when a newer one is
    known that is not. held: why it is not; '' where nothing holds it."""

    branch: str
    commit: str
    behind_seconds: float
    held: str = ""


def source_seen(record: SourceRecord, now: datetime) -> SourceSeen:
    applied, attempted, held = record.applied, record.attempted, record.held
    since = []
    if held and held.reason is not HeldReason.BRANCH_GONE:
        since.append(held.since)
    if attempted and (applied is None or attempted.commit != applied.commit):
        since.append(attempted.at)
    behind = max(0.0, (now - min(since)).total_seconds()) if since else 0.0
    return SourceSeen(record.branch, applied.commit if applied else "", behind, held.reason.value if held else "")


@dataclass(frozen=True)
class Scene:
    """jobs, endpoints: how many are in each state. served: what gets requests. wanted: instances that specs ask for, by
    endpoint and variant. queued: jobs that wait for their turn. suspended: what is, by address, or `project`. stale:
    trained jobs that are, by address. source: the branch that is followed, if one is. job_states: by name@version.
    queue_seconds: for how long each of those has waited. engine_calls: requests to the engine, by how they ended."""

    gateway_answers: bool = False
    jobs: Mapping[str, int] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    served: tuple[ModelSeen, ...] = ()
    wanted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    queued: int = 0
    rolling: tuple[Rolling, ...] = ()
    suspended: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    job_states: Mapping[str, str] = field(default_factory=dict)
    queue_seconds: Mapping[str, float] = field(default_factory=dict)
    engine_calls: Mapping[str, int] = field(default_factory=dict)
    store_errors: int = 0
    source: SourceSeen | None = None
