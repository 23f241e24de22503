"""Programs as revisions and containers' records keep them: the form of every earlier release."""

from __future__ import annotations

from typing import Any

import pytest

from sagespec.state.programs import Build, Builtin, Image, Program, program_from_json


@pytest.mark.parametrize(
    ("program", "text", "document"),
    [
        (Builtin("xgboost"), "xgboost", {"builtin": "xgboost", "image": ""}),
        (Image("acme/churn:1"), "acme/churn:1", {"builtin": "", "image": "acme/churn:1"}),
        (
            Image("acme/churn:1", digest="sha256:ab"),
            "acme/churn:1",
            {"builtin": "", "image": "acme/churn:1", "digest": "sha256:ab"},
        ),
        (
            Build("container", "1-ab", "Dockerfile"),
            "container@1-ab",
            {"builtin": "", "image": "", "build": "container", "context": "1-ab", "dockerfile": "Dockerfile"},
        ),
        (
            Build("container", "1-ab", "Dockerfile", (("A", "b"),)),
            "container@1-ab",
            {
                "builtin": "",
                "image": "",
                "build": "container",
                "context": "1-ab",
                "dockerfile": "Dockerfile",
                "args": {"A": "b"},
            },
        ),
    ],
)
def test_a_program_is_kept_as_plain_data_and_read_back(program: Program, text: str, document: dict[str, Any]) -> None:
    assert str(program) == text
    assert list(program.as_json().items()) == list(document.items())
    assert program_from_json(document) == program
