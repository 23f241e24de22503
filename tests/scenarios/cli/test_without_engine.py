"""Commands that need no engine."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from sagespec.cli.main import main
from tests.fakes.specs import PROJECT, desired_from
from tests.fakes.world import SimulatedWorld
from tests.scenarios.cli.shells import CODE, shell
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


def test_init_writes_a_project_that_validates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "demo")
    assert main(["init", folder]) == 0
    said = capsys.readouterr().out
    assert "wrote  sagespec.yaml" in said
    assert f"next   cd {os.path.relpath(folder)}, then sagespec plan, then sagespec apply" in said
    assert main(["init", folder]) == 0
    assert "nothing written" in capsys.readouterr().out
    assert main(["-C", folder, "validate"]) == 0
    assert "valid: 1 job and 1 endpoint" in capsys.readouterr().out


def test_wrong_specs_are_told_on_standard_error_with_1(workspace: Workspace) -> None:
    workspace.write(job(1).replace("algorithm", "algorthm"))
    result = workspace.run("validate", code=1)
    assert result.stdout == ""
    assert re.match(r"specs/all\.yaml:\d+:\d+ ", result.stderr)
    inside = subprocess.run([*CODE, "plan"], cwd=workspace.root / "specs", env=workspace.env, capture_output=True)
    assert re.match(rb"all\.yaml:\d+:\d+ ", inside.stderr)
    assert workspace.json("apply", code=1)["error"][0]["file"] == "specs/all.yaml"


@pytest.mark.parametrize("command", ["plan", "status", "apply"])
def test_a_command_says_what_it_waits_for(command: str, workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:  # takes connections, and says nothing
        workspace.edit("store: .*", "store: s3://acme/models", "sagespec.yaml")
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        workspace.environment = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        workspace.write(job(1))
        with workspace.running(command) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting for s3://acme/models to answer\n"


def test_in_github_wrong_specs_become_annotations(workspace: Workspace) -> None:
    workspace.write(job(1).replace("algorithm", "algorthm"))
    result = shell("sagespec validate", workspace, GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(workspace.root.parent))
    assert re.match(r"::error file=project/specs/all\.yaml,line=\d+,col=\d+,title=", result.stderr)


def test_schema_is_json_and_its_docs_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "$defs" in json.loads(capsys.readouterr().out)
    assert main(["schema", "--docs"]) == 0
    assert capsys.readouterr().out.startswith("#")


def test_doctor_works_without_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(tmp_path), "doctor", "--output", "json", "--runtime", "process"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "sagespec init" in checks["project"]["fix"]


def test_a_bug_is_one_message_and_a_traceback_only_on_demand(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("sagespec.project.Project.open", broken)
    assert main(["plan"]) == 1
    told = capsys.readouterr().err
    assert "a bug in sagespec: ZeroDivisionError: oh at test_without_engine.py" in told
    assert "Traceback" not in told
    assert main(["plan", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SAGESPEC_DEBUG", "1")
    assert main(["plan", "--output", "json"]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert "ZeroDivisionError" in json.loads(captured.out)["error"][0]["what"]


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_each_shell(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", kind]) == 0
    assert "_SAGESPEC_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("logs jo", ["job/model@1", "job/model@2"]),
        ("logs end", ["endpoint/answers"]),
        ("logs mo", ["model@1", "model@2"]),
        ("stop mod", ["model@1", "model@2"]),
        ("invoke ", ["answers"]),
        ("invoke answers --variant st", ["stable"]),
        ("restart answers --variant ", ["stable"]),
        ("images build xg", ["xgboost"]),
        ("-f specs/other.yaml logs jo", ["job/model@1", "job/model@2"]),
        ("destr", ["destroy"]),
    ],
)
def test_addresses_complete_from_the_specs(typed: str, completed: list[str], workspace: Workspace) -> None:
    workspace.write(job(1) + job(2) + endpoint("stable model@1 1"))
    assert completions(workspace, typed) == completed


def test_revisions_and_what_only_the_store_knows_complete_from_it(workspace: Workspace) -> None:
    world = SimulatedWorld()
    documents = [{"kind": "TrainingJob", "name": "model", "version": version} for version in (1, 2, 3)]
    for version in (1, 2, 3):
        variants = [{"name": "stable", "model": f"model@{version}"}]
        world.settle(desired_from(*documents, {"kind": "Endpoint", "name": "answers", "variants": variants}))
    for key, content in world.objects.items():
        file = workspace.root / ".sagespec/store" / key.replace(PROJECT, workspace.name, 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    workspace.write(job(3))
    assert completions(workspace, "rollback answers --to ") == ["2", "1"]
    assert completions(workspace, "rollback nobody --to ") == []
    assert completions(workspace, "logs model@") == ["model@3", "model@1", "model@2"]
    assert completions(workspace, "history ans") == ["answers"]


def test_a_store_that_is_silent_holds_no_completion_up(workspace: Workspace) -> None:
    workspace.write(job(1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        workspace.edit("store: .*", "store: s3://acme/models", "sagespec.yaml")
        aws = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "AWS_DEFAULT_REGION": "us-east-1"}
        aws |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        begun = time.monotonic()
        assert completions(workspace, "logs mo", **aws) == ["model@1"]
        assert time.monotonic() - begun < 15


def completions(workspace: Workspace, typed: str, **more: str) -> list[str]:
    words = f"sagespec {typed}"
    environment = {
        "_SAGESPEC_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(re.split(" +", words)) - 1),
    }
    env = workspace.env | environment | more
    result = subprocess.run(CODE, cwd=workspace.root, env=env, capture_output=True, text=True)
    return [line.split(",")[1] for line in result.stdout.splitlines() if line]
