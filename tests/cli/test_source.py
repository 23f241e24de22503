"""The options that name a repository: what goes with what, and what a repository without a file is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.cli.given import WRONG_USAGE
from sagespec.cli.main import main
from sagespec.cli.source import name_of

SOURCE = "apiVersion: sagespec/v1\nkind: Source\nname: a\nurl: /nowhere\nenvironment: prod\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--source", "a.yaml", "--git", "/a"], "--source or --git"),
        (["--branch", "main"], "--branch and --interval go with --git"),
        (["--interval", "1m"], "--branch and --interval go with --git"),
        (["--source", "a.yaml", "--branch", "main"], "--branch and --interval go with --git"),
        (["--state-dir", "there"], "--state-dir goes with --source or --git"),
        (["--source", "a.yaml", "-f", "specs"], "-f does not go with a repository"),
        (["--source", "a.yaml", "--env", "staging"], "and the source says prod"),
    ],
)
def test_what_does_not_go_together_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(SOURCE)
    assert main(["watch", *words]) == WRONG_USAGE
    assert problem in capsys.readouterr().err


def test_a_wrong_address_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(tmp_path), "watch", "--git", "http://git.acme.example/a.git"]) == 1
    assert "is not encrypted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/models.git", "models"),
        ("git@github.com:acme/Models.git", "Models"),
        ("/srv/git/my_models/", "my-models"),
        ("https://h/...", "source"),
    ],
)
def test_a_repository_without_a_file_is_called_as_it_is(url: str, name: str) -> None:
    assert name_of(url) == name
