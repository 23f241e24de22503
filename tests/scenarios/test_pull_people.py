"""A followed branch and people: a commit that waits for approval, a history that is accepted, a push that is heard at
once, and a forge that shows all of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagespec.state.source import HeldReason
from tests.forge.server import TOKEN, ForgeServer, forge
from tests.ports import free_port
from tests.repositories import Origin
from tests.scenarios.conftest import RUNTIMES
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_pull import Followed
from tests.scenarios.workspace import Workspace, wait_until

JOBS = job(1) + job(2)
ANSWERS = JOBS + endpoint("stable model@1 90", "candidate model@2 10")
HOOK = "hook-0123456789abcdef"


@pytest.fixture
def server() -> Iterator[ForgeServer]:
    with forge("github") as found:
        yield found


@pytest.fixture(params=RUNTIMES)
def followed(request: pytest.FixtureRequest, tmp_path: Path, project_name: str, server: ForgeServer) -> Followed:
    """A source that is asked once an hour, so that what comes sooner is brought by a push."""
    environment = {"STATUS_TOKEN": TOKEN, "HOOK": HOOK}
    workspace = Workspace(tmp_path / "machine", project_name, request.param, environment=environment)
    origin = Origin(tmp_path / "there")
    found = Followed(workspace, origin, origin.person("ada@acme.example"))
    text = found.source.read_text().replace("interval: 1s", "interval: 1h")
    found.source.write_text(
        f"{text}approve: {{ask: [train, remove]}}\non_rewrite: hold\n"
        f"report: {{github: {{token: {{secret: status}}, repository: acme/models, api: '{server.api}'}}}}\n"
        f"webhook: {{secret: {{secret: hook}}, port: {free_port()}}}\n"
        "secrets: {status: 'env:STATUS_TOKEN', hook: 'env:HOOK'}\n"
    )
    return found


def pushed(followed: Followed) -> None:
    """As GitHub tells of a push."""
    body = b'{"ref": "refs/heads/main"}'
    port = followed.source.read_text().partition(", port: ")[2].partition("}")[0]
    signature = hmac.new(HOOK.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202


def command(followed: Followed, *words: str, code: int = 0) -> Any:
    done = followed.workspace.run("source", *words, "--source", "source.yaml", "--output", "json", code=code)
    return json.loads(done.stdout)


def states(server: ForgeServer, commit: str) -> list[str]:
    return [state for state, _, _ in server.statuses.get(commit, [])]


@pytest.mark.slow
def test_people_say_what_may_be_applied_and_the_forge_shows_it(followed: Followed, server: ForgeServer) -> None:
    first = followed.push(ANSWERS, by=followed.ada)
    followed.workspace.run("sync", "--source", "source.yaml", code=1)
    assert followed.held == HeldReason.APPROVAL
    assert states(server, first) == ["pending"]
    held = command(followed, "status", code=1)["held"]
    assert "train job/model@1, job/model@2" in held["text"]
    assert any(line.startswith("run-job") for line in held["plan"])
    assert "is not 0123456789" in command(followed, "approve", "0123456789", code=1)["error"][0]["what"]
    assert command(followed, "approve", held["digest"][:12])["approved"]["commit"] == first
    followed.workspace.run("sync", "--source", "source.yaml")
    assert followed.applied == first
    assert states(server, first) == ["pending", "pending", "success"], "waits for approval, is being applied, is"

    with followed.watched():
        second = followed.push(ANSWERS.replace("weight: 90", "weight: 30"), by=followed.ada)
        wait_until(lambda: _answers(followed), 120)
        pushed(followed)
        wait_until(lambda: followed.applied == second, 120)  # a weight asks nobody
        wait_until(lambda: states(server, second)[-1:] == ["success"])

        wrong = followed.push(ANSWERS.replace("weight: 90", "weight: heavy"), by=followed.ada)
        pushed(followed)
        wait_until(lambda: states(server, wrong) == ["failure"], 120)
        unsigned = followed.push(ANSWERS.replace("weight: 90", "weight: 1"), by=None)
        pushed(followed)
        wait_until(lambda: states(server, unsigned) == ["error"], 120)

        followed.origin.git("reset", "-q", "--hard", first)
        rewritten = followed.push(ANSWERS.replace("weight: 90", "weight: 50"), "--force", by=followed.ada)
        pushed(followed)
        wait_until(lambda: followed.held == HeldReason.REWRITTEN, 120)
        wait_until(lambda: states(server, rewritten) == ["error"])
        assert followed.weights()["stable"] == 30
        command(followed, "accept", rewritten[:12])
        pushed(followed)
        wait_until(lambda: followed.applied == rewritten, 120)
        wait_until(lambda: states(server, rewritten)[-1:] == ["success"])
        # its deployment is told after that, in a request of its own
        wait_until(lambda: [one["states"][-1:] for one in server.deployments] == [["success"]] * 3)
    assert {one["environment"] for one in server.deployments} == {"churn-prod"}


def _answers(followed: Followed) -> bool:
    """Whether its webhook listens."""
    port = followed.source.read_text().partition(", port: ")[2].partition("}")[0]
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 405
    except OSError:
        return False
    return False
