"""The commit that is recorded: of the project's own repository, changed only by what people change there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sagespec.parts import Parts
from sagespec.sources import git
from sagespec.sources.git import GitFound, find_commit
from sagespec.state.manifest import Git

PROJECT = "apiVersion: sagespec/v1\nkind: Project\nname: acme\nruntime: process\nstore: {store}\n"


def commit_all(folder: Path) -> str:
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "--allow-empty", "-m", "all")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    head = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()


def found(root: Path) -> GitFound:
    parts = Parts(root)
    try:
        return parts.find_commit()
    finally:
        parts.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository" / "project"
    root.mkdir(parents=True)
    (root / "sagespec.yaml").write_text(PROJECT.format(store="models [1]"))
    return root


def test_what_sagespec_keeps_is_no_change_of_the_tree(root: Path) -> None:
    commit = commit_all(root.parent)
    for name in (".sagespec/tmp/x", "models [1]/acme/manifest.json"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("{}")
    assert found(root).git == Git(commit=commit, dirty=False)
    (root / "models [2]").write_text("{}")
    assert found(root).git == Git(commit=commit, dirty=True)


def test_a_hook_of_another_repository_changes_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = commit_all(root)
    other = tmp_path / "other"
    other.mkdir()
    assert commit_all(other) != commit
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    assert found(root).git == Git(commit=commit, dirty=False)


def test_outside_a_repository_and_before_the_first_commit_there_is_no_commit_and_no_problem(root: Path) -> None:
    assert found(root) == GitFound(None)
    subprocess.run(["git", "-C", str(root), "init", "-q"], check=True)
    assert found(root) == GitFound(None)


def fake_git(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_repository_of_another_user_is_named_with_the_way_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(root.parent)
    fake_git(tmp_path, "echo \"fatal: detected dubious ownership in repository at '/x'\" >&2; exit 128", monkeypatch)
    result = found(root)
    assert result.git is None
    assert "belongs to another user" in result.problem
    assert result.fix == f"git config --global --add safe.directory {root.parent}"


def test_a_git_that_is_missing_or_slow_is_reported(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_all(root)
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        assert "git is not installed" in find_commit(root).problem
    monkeypatch.setattr(git, "SECONDS", 0.5)
    fake_git(tmp_path, 'case "$*" in *status*) exec sleep 5;; *) echo abc;; esac', monkeypatch)
    result = found(root)
    assert result.git == Git(commit="abc", dirty=True)
    assert "git takes longer than 0.5 s" in result.problem
