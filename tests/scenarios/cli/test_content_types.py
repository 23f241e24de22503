"""What `invoke` takes a body for."""

from __future__ import annotations

import pytest

from sagespec.cli.asking import guess_content_type


@pytest.mark.parametrize(
    ("file_name", "body", "content_type"),
    [
        ("rows.csv", b"{", "text/csv"),
        ("rows.JSON", b"", "application/json"),
        ("rows.jsonl", b"", "application/jsonlines"),
        ("<stdin>", b" [1]", "application/json"),
        ("", b"1,2", "text/csv"),
    ],
)
def test_content_types_are_guessed(file_name: str, body: bytes, content_type: str) -> None:
    assert guess_content_type(file_name, body) == content_type
