"""What git says of the spec files: that it is writing them, and which of them it left out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sagespec.load.checkout import git_lock, not_checked_out


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]
    environment = {name: text for name, text in os.environ.items() if name != "GIT_DIR"}
    subprocess.run(["git", *who, *words], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the submodule specs/shared, and beside it a worktree."""
    for name, file in (("shared", "b.yaml"), ("main", "specs/a.yaml")):
        path = tmp_path / name / file
        path.parent.mkdir(parents=True)
        path.write_text("")
        git(tmp_path / name, "init", "-q", "-b", "main")
        git(tmp_path / name, "add", "-A")
        git(tmp_path / name, "commit", "-qm", "one")
    main = tmp_path / "main"
    git(main, "submodule", "add", "-q", str(tmp_path / "shared"), "specs/shared")
    git(main, "commit", "-qm", "two")
    git(main, "worktree", "add", "-q", "-b", "feature", str(tmp_path / "feature"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "shared" / ".git"))  # as a hook of another repository has it
    return main


@pytest.mark.parametrize(
    ("root", "lock"),
    [
        ("main", "main/.git"),
        ("main", "main/.git/modules/specs/shared"),
        ("feature", "main/.git/worktrees/feature"),
        ("linked", "main/.git"),
    ],
)
def test_git_is_seen_at_work(repository: Path, root: str, lock: str) -> None:
    place = repository.parent
    (place / "linked").mkdir()
    (place / "linked" / "specs").symlink_to(repository / "specs")
    specs = [place / root / "specs"]
    assert git_lock(specs) is None
    (place / lock / "index.lock").write_text("")
    found = git_lock(specs)
    assert found
    assert found.samefile(place / lock / "index.lock")


def test_what_git_left_out_is_known(repository: Path, tmp_path: Path) -> None:
    feature = tmp_path / "feature"
    assert not_checked_out([repository / "specs"], repository) == []
    assert not_checked_out([feature / "specs"], feature) == ["specs/shared"], "a submodule that is empty here"
    assert not_checked_out([tmp_path], tmp_path) == [], "no repository"
    (repository / "specs" / "team").mkdir()
    (repository / "specs" / "team" / "c.yaml").write_text("")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "three")
    git(repository, "sparse-checkout", "set", "--no-cone", "/specs/a.yaml")
    assert not_checked_out([repository / "specs"], repository) == ["specs/team/c.yaml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_that_variables_say_is_trusted_is_asked(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container of a CI, where the checkout belongs to somebody else: an answer that does not come would have
    `--prune` take what was not checked out for what is in no spec."""
    feature = tmp_path / "feature"
    for path in (feature, feature / ".git", repository, repository / ".git"):
        os.chown(path, 65534, 65534)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name, text in (("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", text)
    assert not_checked_out([feature / "specs"], feature) == ["specs/shared"]
