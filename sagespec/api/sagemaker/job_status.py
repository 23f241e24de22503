"""A training job in SageMaker's words: states, what led to them and when, metrics, the reason of a failure. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sagespec.api.sagemaker.records import KeptJob
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.verbs.states import JobState, JobWord

_LONGEST_REASON = 1024
_UNDER_WAY = {JobWord.PREPARING: "Downloading", JobWord.RUNNING: "Training", JobWord.ENDED: "Uploading"}
_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job runtime exceeded MaxWaitTimeInSeconds provided",
}
SPEC_GONE = "ClientError: its spec was removed before it was trained"


@dataclass(frozen=True)
class JobSeen:
    """What is known of a job: its row of `status` if it is in the specs, the manifest if it has ended. is_old: the row
    is of before the spec was written last. trouble: why nobody can look."""

    state: JobState | None = None
    manifest: Manifest | None = None
    is_old: bool = False
    trouble: str = ""


@dataclass(frozen=True)
class Words:
    """TrainingJobStatus, SecondaryStatus, and what there is to say: of a failure, its reason."""

    status: str
    secondary: str
    message: str = ""

    @property
    def has_ended(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")


def words_of(kept: KeptJob, seen: JobSeen) -> Words:
    state, manifest = seen.state, seen.manifest
    if kept.failure:
        return Words("Failed", "Failed", kept.failure[:_LONGEST_REASON])
    stops = kept.stop_asked_at is not None
    if state and state.state in _UNDER_WAY:
        return Words("Stopping", "Stopping") if stops else Words("InProgress", _UNDER_WAY[state.state])
    if manifest:
        return _ended(manifest)
    if state and state.state is JobWord.REFUSED and not seen.is_old:
        return Words(
            "Failed", "Failed", f"ClientError: {'; '.join(filter(None, (state.detail, state.fix)))}"[:_LONGEST_REASON]
        )
    if state is None and not seen.is_old:
        return Words("Failed", "Failed", SPEC_GONE)
    if stops:
        return Words("Stopping", "Stopping")
    return Words("InProgress", "Pending", seen.trouble or (state.detail if state and not seen.is_old else ""))


def described(kept: KeptJob, seen: JobSeen, *, now: float) -> dict[str, Any]:
    """What DescribeTrainingJob says besides the request and the artifacts."""
    words = words_of(kept, seen)
    transitions = list(_transitions(kept, seen, words))
    metrics = list(_metrics(seen, now))
    found: dict[str, Any] = {
        "TrainingJobStatus": words.status,
        "SecondaryStatus": words.secondary,
        "SecondaryStatusTransitions": transitions,
        "CreationTime": kept.created_at,
        "LastModifiedTime": max([kept.modified_at, *(one["StartTime"] for one in transitions)]),
        "FinalMetricDataList": metrics,
    }
    if words.status == "Failed":
        found["FailureReason"] = words.message
    return found | _training_times(seen, words)


def summary_times(kept: KeptJob, seen: JobSeen, words: Words) -> dict[str, float]:
    """Of a list: what is known without working out all that led there."""
    ended = seen.manifest.ended_at.timestamp() if seen.manifest and words.has_ended else None
    times = {"CreationTime": kept.created_at, "LastModifiedTime": max(kept.modified_at, ended or 0.0)}
    return times | ({"TrainingEndTime": ended} if ended else {})


def _ended(manifest: Manifest) -> Words:
    if manifest.status is JobStatus.COMPLETED:
        return Words("Completed", "Completed")
    if manifest.status is JobStatus.FAILED:
        return Words("Failed", "Failed", _reason(manifest.reason))
    fault = Fault.read(manifest.reason)
    over = fault is not None and fault.kind in (FaultKind.MAX_RUNTIME, FaultKind.MAX_WAIT)
    return Words("Stopped", fault.kind.value if fault and over else "Stopped")


def _reason(reason: str) -> str:
    """As clients know reasons: beginning with whose fault it is. What the program said last stays, if room is short."""
    fault = Fault.read(reason)
    text = reason if fault and fault.kind is not FaultKind.OTHER else f"AlgorithmError: {reason}"
    return text if len(text) <= _LONGEST_REASON else f"{text[:300]} […] {text[310 - _LONGEST_REASON :]}"


def _transitions(kept: KeptJob, seen: JobSeen, words: Words) -> Iterator[dict[str, Any]]:
    starts = [(name, at) for name, at in _starts(kept, seen, words) if at is not None]
    at = kept.created_at
    clean: list[tuple[str, float]] = []
    for name, start in starts:
        at = max(at, start)
        clean.append((name, at))
    for number, (name, start) in enumerate(clean):
        ends = clean[number + 1][1] if number + 1 < len(clean) else start if words.has_ended else None
        said = words.message if name in ("Failed", "Pending") else _MESSAGES.get(name, name)
        yield {"Status": name, "StartTime": start, "StatusMessage": said} | (
            {"EndTime": ends} if ends is not None else {}
        )


def _starts(kept: KeptJob, seen: JobSeen, words: Words) -> Sequence[tuple[str, float | None]]:
    """What the job went through, each with its begin."""
    stopping = ("Stopping", kept.stop_asked_at)
    if words.has_ended and seen.manifest:
        manifest = seen.manifest
        begun, ended = manifest.started_at.timestamp(), manifest.ended_at.timestamp()
        training = begun + manifest.seconds.get("downloading", 0.0)
        packing = training + manifest.seconds.get("training", 0.0)
        trained: list[tuple[str, float | None]] = [("Training", training)] if "training" in manifest.seconds else []
        stored: list[tuple[str, float | None]] = (
            [("Uploading", packing)] if trained and words.status != "Failed" else []
        )
        stopped = [stopping] if words.status == "Stopped" else []
        return [
            ("Starting", kept.created_at),
            ("Downloading", begun),
            *trained,
            *stopped,
            *stored,
            (words.secondary, ended),
        ]
    if words.has_ended:
        return [("Starting", kept.created_at), (words.secondary, kept.created_at)]
    state = seen.state
    if state is None or state.state not in _UNDER_WAY:
        return [("Pending" if words.message else "Starting", kept.created_at), stopping]
    since = _seconds(state.follower.since if state.follower else None)
    steps: list[tuple[str, float | None]] = [("Starting", kept.created_at), ("Downloading", since)]
    if state.state is not JobWord.PREPARING:
        steps.append(("Training", _seconds(state.started_at) or since))
    return [*steps, stopping]


def _training_times(seen: JobSeen, words: Words) -> dict[str, Any]:
    if seen.manifest and words.has_ended:
        manifest = seen.manifest
        begun = manifest.started_at.timestamp() + manifest.seconds.get("downloading", 0.0)
        taken = math.ceil(manifest.seconds.get("training", 0.0))
        ends = {"TrainingStartTime": begun, "TrainingEndTime": manifest.ended_at.timestamp()}
        return ends | {"TrainingTimeInSeconds": taken, "BillableTimeInSeconds": taken}
    started = seen.state.started_at if seen.state and seen.state.state in _UNDER_WAY else None
    return {"TrainingStartTime": started.timestamp()} if started else {}


def _metrics(seen: JobSeen, now: float) -> Iterator[Mapping[str, Any]]:
    """The last value of each; those of a job that runs are of now."""
    if seen.state and seen.state.state in _UNDER_WAY:
        values, series, at, begun = seen.state.metrics or {}, {}, now, now
    elif seen.manifest:
        values, series = seen.manifest.metrics, seen.manifest.series
        at, begun = seen.manifest.ended_at.timestamp(), seen.manifest.started_at.timestamp()
    else:
        return
    for name, value in values.items():
        if math.isfinite(value):
            points = series.get(name)
            yield {"MetricName": name, "Value": value, "Timestamp": begun + points[-1][0] if points else at}


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
