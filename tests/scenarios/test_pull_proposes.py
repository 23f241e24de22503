"""A loop opens the pull request for a new model as soon as its job has ended, or says once what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forge.server import TOKEN, ForgeServer, forge
from tests.repositories import Origin
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_pull import Followed
from tests.scenarios.workspace import Workspace, wait_until

RETRAIN = "retrain: {on_data: [train], assign: {endpoint: answers, variant: candidate, weight: 10}}\n"


@pytest.fixture
def server() -> Iterator[ForgeServer]:
    with forge("github") as server:
        yield server


def followed(tmp_path: Path, project_name: str, server: ForgeServer, more: str) -> Followed:
    environment = {"STATUS_TOKEN": TOKEN}
    workspace = Workspace(tmp_path / "machine", project_name, "process", environment=environment)
    origin = Origin(tmp_path / "there")
    found = Followed(workspace, origin, origin.person("ada@acme.example"))
    found.source.write_text(
        f"{found.source.read_text()}{more}secrets: {{status: 'env:STATUS_TOKEN'}}\n"
        f"report: {{github: {{token: {{secret: status}}, repository: acme/models, api: '{server.api}'}}}}\n"
    )
    return found


def test_a_loop_opens_the_pull_request_of_a_model_when_its_job_has_ended(
    tmp_path: Path, project_name: str, server: ForgeServer
) -> None:
    found = followed(tmp_path, project_name, server, "propose: true\n")
    one, two = job(1), job(2) + RETRAIN
    commit = found.push(one + two + endpoint("stable model@1 90"), by=found.ada)
    with found.watched():
        wait_until(lambda: bool(server.pulls), 120)
    (pull,) = server.pulls
    assert (pull["title"], pull["head"]["ref"]) == ("Serve model@2 by answers/candidate", "sagespec/assign/model")
    assert "run-job" not in pull["body"], "it is trained"
    found.origin.git("fetch", "-q", "origin")
    assert found.origin.git("rev-parse", "origin/sagespec/assign/model^").strip() == commit
    assert "candidate, model: model@2, weight: 10" in found.origin.git(
        "show", "origin/sagespec/assign/model:specs/all.yaml"
    )


def test_a_loop_that_may_not_open_pull_requests_says_once_what_it_takes(
    tmp_path: Path, project_name: str, server: ForgeServer
) -> None:
    found = followed(tmp_path, project_name, server, "")
    found.push(job(1) + RETRAIN + endpoint("stable model@1 90"), by=found.ada)
    log = found.workspace.root / "watch.log"
    with found.watched():
        wait_until(lambda: bool(found.applied) and "add propose: true to the source" in log.read_text(), 120)
    assert log.read_text().count("no pull request is opened here for models that are trained") == 1
    assert server.pulls == []


def test_a_loop_in_a_checkout_opens_it_too(tmp_path: Path, project_name: str, server: ForgeServer) -> None:
    forge_named = {"API": server.api, "REPOSITORY": "acme/models", "TOKEN": TOKEN}
    environment = {f"SAGESPEC_FORGE_{name}": value for name, value in forge_named.items()}
    origin = Origin(tmp_path / "there")
    workspace = Workspace(origin.work, project_name, "process", environment=environment)
    workspace.write(job(1) + job(2) + RETRAIN + endpoint("stable model@1 90"))
    origin.commit("serve it")
    origin.push()
    with workspace.running("watch", "--every", "2s"):
        wait_until(lambda: bool(server.pulls), 120)
    (pull,) = server.pulls
    assert pull["title"] == "Serve model@2 by answers/candidate"
