"""A secret is rotated while callers keep asking: new containers take over, no request is lost, nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_changes_under_load import load_on
from tests.scenarios.workspace import Workspace, wait_until

SPECS = (job(1) + endpoint("only model@1 1 environment: {TOKEN: {secret: token}}")).replace(
    "channels: {train: ../data/train.csv}",
    "channels: {train: ../data/train.csv}\nenvironment: {TOKEN: {secret: token}}",
)


def environment_of(workspace: Workspace) -> Mapping[str, str]:
    """What the program that answers was given."""
    status, text, _ = workspace.invoke("answers", "1,2")
    assert status == 200
    return dict(json.loads(text)["env"])


def with_a_token(workspace: Workspace) -> None:
    with (workspace.root / "sagespec.yaml").open("a") as file:
        file.write("secrets: {token: file:token}\n")
    (workspace.root / "token").write_text("the-first-token")
    (workspace.root / "token").chmod(0o600)
    workspace.write(SPECS)


@pytest.mark.slow
def test_a_rotated_secret_replaces_containers_and_loses_no_request(workspace: Workspace) -> None:
    kept = workspace.root / "token"
    with_a_token(workspace)
    with workspace.project() as project:
        assert project.apply().ok
        assert environment_of(workspace)["TOKEN"] == "the-first-token"
        assert project.plan().actions == ()
        trained = project.manifest("job/model@1")
        with load_on(workspace.port) as found:
            kept.write_text("the-second-token")
            plan = project.plan()
            assert "secret token rotated" in plan.text()
            assert not [action for action in plan.actions if action.verb == "run-job"]
            assert not plan.refused
            assert project.apply().ok
            assert environment_of(workspace)["TOKEN"] == "the-second-token"
        assert found.keys() == {"200"}, found
        assert found["200"] > 50
        assert project.plan().actions == ()
        assert project.manifest("job/model@1") == trained
        assert [revision.number for revision in project.parts.records.history("answers")] == [1, 2]
        kept.unlink()
        (note,) = project.plan().notes
        assert note.startswith("secret token was not asked: token cannot be read")
        assert project.apply().ok, "what cannot be asked counts as unchanged"
        assert environment_of(workspace)["TOKEN"] == "the-second-token"
        workspace.edit("weight: 1", "weight: 1, instances: 2")
        refused = project.apply(check=False)
        assert [problem.what for problem in refused.plan.refused] == [
            "secret token cannot be had: token cannot be read (No such file or directory)"
        ]


def test_watch_replaces_what_has_a_rotated_secret(tmp_path: Path, project_name: str, evidence: Path) -> None:
    workspace = Workspace(tmp_path / "project", project_name, "process")
    with_a_token(workspace)

    def has(token: str) -> bool:
        try:
            return environment_of(workspace)["TOKEN"] == token
        except (AssertionError, WorldError):
            return False

    with workspace.running("watch", "--every", "1s"):
        wait_until(lambda: has("the-first-token"))
        (workspace.root / "token").write_text("the-second-token")
        wait_until(lambda: has("the-second-token"))
        wait_until(lambda: [r.number for r in workspace.records().history("answers")] == [1, 2])
