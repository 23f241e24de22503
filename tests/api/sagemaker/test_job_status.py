"""A job's states in SageMaker's words, from what is known of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagespec.api.sagemaker.job_status import SPEC_GONE, JobSeen, Words, described, words_of
from sagespec.api.sagemaker.records import KeptJob
from sagespec.state.addresses import Address
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.verbs.states import JobState, JobWord

ABOUT = Address.parse("job/churn@3")
BEGUN = datetime(2026, 11, 29, 12, tzinfo=UTC)
CREATED = BEGUN.timestamp() - 5


def kept(**more: Any) -> KeptJob:
    return KeptJob({}, CREATED, CREATED, address=str(ABOUT), is_written=True, **more)


def row(word: JobWord, detail: str = "", fix: str = "") -> JobState:
    return JobState(ABOUT, word, detail, fix=fix)


def ended(status: JobStatus, reason: str = "") -> Manifest:
    return Manifest(
        project="shop",
        name="churn",
        version=3,
        key="k",
        key_fields={},
        status=status,
        reason=reason,
        spec={},
        metrics={"auc": 0.9, "loss": float("nan")},
        series={"auc": [(1.0, 0.8), (2.0, 0.9)]},
        started_at=BEGUN,
        ended_at=BEGUN + timedelta(seconds=10),
        seconds={"downloading": 1.0, "training": 7.2},
    )


@pytest.mark.parametrize(
    ("one", "seen", "words"),
    [
        (kept(failure="ClientError: no"), JobSeen(), Words("Failed", "Failed", "ClientError: no")),
        (kept(), JobSeen(is_old=True), Words("InProgress", "Pending")),
        (kept(), JobSeen(row(JobWord.WAITING, "for CPUs")), Words("InProgress", "Pending", "for CPUs")),
        (kept(), JobSeen(row(JobWord.PREPARING)), Words("InProgress", "Downloading")),
        (kept(), JobSeen(row(JobWord.RUNNING)), Words("InProgress", "Training")),
        (kept(), JobSeen(row(JobWord.ENDED)), Words("InProgress", "Uploading")),
        (kept(stop_asked_at=1.0), JobSeen(row(JobWord.RUNNING)), Words("Stopping", "Stopping")),
        (kept(), JobSeen(row(JobWord.REFUSED, "no", "do")), Words("Failed", "Failed", "ClientError: no; do")),
        (kept(), JobSeen(row(JobWord.REFUSED, "no", "do"), is_old=True), Words("InProgress", "Pending")),
        (kept(), JobSeen(), Words("Failed", "Failed", SPEC_GONE)),
        (kept(), JobSeen(None, ended(JobStatus.COMPLETED)), Words("Completed", "Completed")),
        (kept(), JobSeen(None, ended(JobStatus.FAILED, "no")), Words("Failed", "Failed", "AlgorithmError: no")),
        (kept(), JobSeen(None, ended(JobStatus.STOPPED, "Stopped: asked for")), Words("Stopped", "Stopped")),
        (
            kept(),
            JobSeen(None, ended(JobStatus.STOPPED, "MaxRuntimeExceeded: 1h")),
            Words("Stopped", "MaxRuntimeExceeded"),
        ),
        (
            kept(),
            JobSeen(row(JobWord.RUNNING), ended(JobStatus.FAILED, "before")),
            Words("InProgress", "Training"),
        ),
    ],
)  # fmt: skip
def test_state(one: KeptJob, seen: JobSeen, words: Words) -> None:
    assert words_of(one, seen) == words


def test_ended_job_tells_what_it_went_through() -> None:
    at = BEGUN.timestamp()
    found = described(kept(), JobSeen(None, ended(JobStatus.COMPLETED)), now=at + 99)
    steps = [
        (step["Status"], step["StartTime"] - at, step["EndTime"] - at) for step in found["SecondaryStatusTransitions"]
    ]
    assert [(name, round(start, 1), round(end, 1)) for name, start, end in steps] == [
        ("Starting", -5, 0),
        ("Downloading", 0, 1),
        ("Training", 1, 8.2),
        ("Uploading", 8.2, 10),
        ("Completed", 10, 10),
    ]
    assert (found["TrainingTimeInSeconds"], found["BillableTimeInSeconds"]) == (8, 8)
    assert found["FinalMetricDataList"] == [{"MetricName": "auc", "Value": 0.9, "Timestamp": at + 2}]
    assert "FailureReason" not in found


def test_job_that_waits_says_for_what() -> None:
    waiting = described(kept(), JobSeen(row(JobWord.WAITING, "waits for 2 CPUs")), now=CREATED)
    (step,) = waiting["SecondaryStatusTransitions"]
    assert (step["Status"], step["StatusMessage"]) == ("Pending", "waits for 2 CPUs")
    nobody = described(kept(), JobSeen(is_old=True, trouble="specs/x.yaml:1:1 is no spec"), now=CREATED)
    assert nobody["SecondaryStatusTransitions"][0]["StatusMessage"] == "specs/x.yaml:1:1 is no spec"


def test_long_reason_keeps_its_begin_and_its_end() -> None:
    reason = f"AlgorithmError: algo-1 exited with code 1; its last lines:\n{'x' * 3000}\nValueError: the end"
    found = words_of(kept(), JobSeen(None, ended(JobStatus.FAILED, reason))).message
    assert len(found) <= 1024
    assert found.startswith("AlgorithmError: algo-1 exited")
    assert found.endswith("ValueError: the end")
