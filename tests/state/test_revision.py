"""Revisions as the store keeps them: the same bytes across releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sagespec.state.desired import desired_endpoint
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus
from tests.fakes.specs import desired_from

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VARIANT = {
    "name": "stable",
    "model": {"text": "churn@3", "identity": "job/churn@3:1-abc", "job": "job/churn@3", "uri": ""},
    "program": {"builtin": "xgboost", "image": ""},
    "weight": 90.0,
    "instances": 1,
    "environment": {"B": "2", "A": "1"},
    "cpus": None,
    "memory": None,
}
ROLLOUT = {"healthy_within": 480.0, "min_healthy": 1.0, "drain_within": 70.0, "replace": "changed"}
WHOLE = {"variants": [VARIANT], "rollout": ROLLOUT, "protect": False}


@pytest.mark.parametrize(
    "asked",
    [
        WHOLE,
        {**WHOLE, "variants": [{**VARIANT, "gpus": 1}]},
        {"variants": []},
        {"variants": [{"name": "stable", "model": {"text": "churn@3"}}], "protect": True},
        {**WHOLE, "of_a_later_release": {"a": 1}},
        {**WHOLE, "variants": [{**VARIANT, "of_a_later_release": [1]}]},
    ],
)
def test_a_record_is_written_as_it_was_read(asked: dict[str, Any]) -> None:
    revision = Revision(
        endpoint="churn",
        number=1,
        hash="1-abc",
        status=RevisionStatus.LIVE,
        asked=EndpointRecord.model_validate(asked),
        started_at=NOON,
    )
    text = revision.model_dump_json()
    assert json.dumps(asked, separators=(",", ":")) in text
    assert Revision.model_validate_json(text) == revision


def test_a_live_revision_describes_the_endpoint_that_its_spec_did() -> None:
    job = {"kind": "TrainingJob", "name": "churn", "version": 1}
    (spec,) = desired_from(
        job, {"kind": "Endpoint", "name": "churn", "variants": [{"name": "stable", "model": "churn@1"}]}
    ).endpoints
    stored = EndpointRecord.model_validate_json(spec.record.model_dump_json())
    assert desired_endpoint("churn", stored, spec.origin) == spec
