"""The Source document: what it may say, and where it says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.load.source import load_source

HEAD = "apiVersion: sagespec/v1\nkind: Source\nname: churn-prod\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "churn-prod.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as raised:
        load_source(file)
    return [f"{p.where.line if p.where else '?'}: {p.what}" for p in raised.value.problems]


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    file = tmp_path / "source.yaml"
    file.write_text(f"{HEAD}url: https://github.com/acme/models.git\n")
    source = load_source(file)
    assert (source.branch, source.path, source.interval, source.prune) == ("main", ".", 60.0, False)
    assert source.follows_rewrites


def test_a_rewritten_history_is_held_where_signatures_count(tmp_path: Path) -> None:
    file = tmp_path / "source.yaml"
    file.write_text(f"{HEAD}url: /srv/models.git\nverify: {{signers: /etc/sagespec/signers}}\n")
    assert not load_source(file).follows_rewrites


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("url: http://git.acme.com/a.git", "is not encrypted"),
        ("url: https://ada:hunter2@git.acme.com/a.git", "holds a password"),
        ("url: ext::sh -c id", "is not a way to fetch commits"),
        ("url: --upload-pack=id", "is not a repository's address"),
        ("url: git://git.acme.com/a.git", "is not a way to fetch commits"),
        ("url: /a\nbranch: -main", "is not a branch"),
        ("url: /a\nbranch: main\ntag: v*", "does not go with branch"),
        ("url: /a\npath: ../other", "is not a folder of the repository"),
        ("url: /a\ninterval: 10ms", "is shorter than a second"),
        ("url: /a\nverify: {signers: s, mode: tag}", "is for tags"),
        ("url: git@host:a.git\nsecrets: {t: env:T}\ncredentials: {secret: t}", "is for https:// alone"),
        ("url: https://h/a\ncredentials: {secret: t}", "is no secret"),
        ("url: https://h/a\nsecrets: {t: ghp_abcdef}", "the secret itself does not belong here"),
        ("url: /a\nallow: {path: [/data]}", "allow.path is not a field"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, said: str, problem: str) -> None:
    (told,) = problems(tmp_path, f"{HEAD}{said}\n")
    assert re.search(problem, told), told
    assert int(told.partition(":")[0]) >= 1
    assert "hunter2" not in told
    assert "ghp_" not in told


def test_another_kind_and_several_documents_are_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "apiVersion: sagespec/v1\nkind: Project\nname: a\n") == [
        "1: kind is Project, but must be Source"
    ]
    assert "holds 2 documents" in problems(tmp_path, f"{HEAD}url: /a\n---\n{HEAD}url: /b\n")[0]
    assert "holds 0 documents" in problems(tmp_path, "")[0]
