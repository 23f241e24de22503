from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagespec.documents.emit import WIDTH, emit
from sagespec.load.reading import Reading

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=30)
LIKE_OTHERS = st.sampled_from(
    [
        "no",
        "on",
        "null",
        "~",
        "010",
        "1:30",
        "1e-3",
        "0x1f",
        ".5",
        "2024-01-01",
        "a: b",
        "#",
        "- x",
        "{a}",
        "[",
        "%",
        "!",
        "",
    ]
)
KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12) | LIKE_OTHERS.filter(bool)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | LIKE_OTHERS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
def test_what_is_written_is_read_as_the_same_values(document: dict[str, Any]) -> None:
    reading = Reading(emit(document), "x.yaml")
    read = [one.data for one in reading.documents()]
    assert not reading.problems
    assert read == [document]


def test_a_spec_reads_as_if_a_person_had_written_it() -> None:
    document = {
        "apiVersion": "sagespec/v1",
        "kind": "TrainingJob",
        "name": "churn",
        "version": 3,
        "hyperparameters": {"objective": "binary:logistic", "num_round": 5, "eta": "1e-3"},
        "channels": {"train": {"source": "s3://sagespec/demo/train.csv", "content_type": "text/csv"}},
        "metrics": [{"name": "loss", "regex": "loss: ([0-9.]+)"}],
    }
    assert emit(document, heading=["Written by sagespec.", "Yours\nto edit."]) == (
        "# Written by sagespec.\n"
        "# Yours to edit.\n"
        "apiVersion: sagespec/v1\n"
        "kind: TrainingJob\n"
        "name: churn\n"
        "version: 3\n"
        "hyperparameters: {objective: 'binary:logistic', num_round: 5, eta: '1e-3'}\n"
        "channels:\n"
        "  train: {source: 's3://sagespec/demo/train.csv', content_type: text/csv}\n"
        "metrics:\n"
        "  - {name: loss, regex: 'loss: ([0-9.]+)'}\n"
    )


def test_what_does_not_fit_on_a_line_is_a_block() -> None:
    hyperparameters = {f"parameter_{number}": number for number in range(12)}
    lines = emit({"hyperparameters": hyperparameters}).splitlines()
    assert lines[:2] == ["hyperparameters:", "  parameter_0: 0"]
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize("heading", ["a\nkind: Project", "a\rb: 1", "\x85x: 1", "\u2028x: 1"])
def test_a_heading_is_never_more_than_a_comment(heading: str) -> None:
    reading = Reading(emit({"name": "x"}, heading=[heading]), "x.yaml")
    read = [one.data for one in reading.documents()]
    assert not reading.problems
    assert read == [{"name": "x"}]
