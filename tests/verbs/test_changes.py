"""Every file in tests/cases/history is one case: two records of an endpoint, and what `history` says changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sagespec.state.revision import EndpointRecord, VariantRecord
from sagespec.verbs.changes import record_changes

CASES = sorted((Path(__file__).parents[1] / "cases" / "history").glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    before, after = (EndpointRecord.model_validate(case[side]) for side in ("before", "after"))
    assert record_changes(before, after) == case["changed"]


OTHER_VALUES = {
    "model": {"text": "churn@2", "identity": "b"},
    "program": {"builtin": "echo", "image": ""},
    "weight": 7.0,
    "instances": 7,
    "environment": {"A": "b"},
    "cpus": 7.0,
    "memory": 7,
    "gpus": 7,
    "accelerate": "onnx",
}


IN_WORDS_OF_THEIR_OWN = {"name", "restart", "secrets"}


@pytest.mark.parametrize("field", sorted(VariantRecord.model_fields.keys() - IN_WORDS_OF_THEIR_OWN))
def test_no_field_of_a_variant_changes_unseen(field: str) -> None:
    before = EndpointRecord.model_validate({"variants": [{"name": "stable"}]})
    after = EndpointRecord.model_validate({"variants": [{"name": "stable", field: OTHER_VALUES[field]}]})
    (change,) = record_changes(before, after)
    assert change.startswith((f"{field} of stable", f"{field}."))


def test_a_rotated_secret_is_a_change_and_one_that_was_not_asked_before_is_none() -> None:
    records = [
        EndpointRecord.model_validate({"variants": [{"name": "stable", "secrets": versions}]})
        for versions in ({}, {"database": "1"}, {"database": "2"})
    ]
    assert record_changes(records[0], records[1]) == []
    assert record_changes(records[1], records[2]) == ["secret database of stable rotated"]
