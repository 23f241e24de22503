"""What `invoke` takes a body for, and where its answer ends."""

from __future__ import annotations

import subprocess
import sys

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


ANSWERED = """
from sagespec.cli.asking import ask_once
from sagespec.show.screen import Screen
from sagespec.verbs.answers import Answer
ask_once(Screen(), "own", lambda: Answer(200, BODY, "text/csv", "lin", {}), known=list)
"""


@pytest.mark.parametrize("body", [b"0.5", b"0.5\n"])
def test_who_answered_stands_on_a_line_of_its_own(body: bytes) -> None:
    command = [sys.executable, "-c", ANSWERED.replace("BODY", repr(body))]
    joined = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout
    apart = subprocess.run(command, capture_output=True, check=True)
    assert joined.startswith(b"0.5\nvariant lin, ")
    assert apart.stdout == body
    assert apart.stderr.startswith(b"variant lin, ")
