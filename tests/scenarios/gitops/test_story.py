"""A team's weeks: one repository, staging and production, S3, a bot; all of it in the order in which it happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sagespec.stores.open import open_store
from tests.contracts.servers import S3Server, s3_server
from tests.forge.server import TOKEN, ForgeServer
from tests.forge.server import forge as forge_server
from tests.ports import free_port
from tests.repositories import Origin
from tests.scenarios.specs import endpoint
from tests.scenarios.workspace import REPOSITORY

pytestmark = [pytest.mark.s3, pytest.mark.slow(100)]
PROJECT = """\
apiVersion: sagespec/v1
kind: Project
name: {name}
runtime: process
require_environment: true
"""
ENVIRONMENT = """\
apiVersion: sagespec/v1
kind: Environment
name: {name}
project: {{store: "{store}/{name}", gateway: {{port: {port}}}}}
secrets: {{database: "env:DATABASE"}}
"""
SOURCE = """\
apiVersion: sagespec/v1
kind: Source
name: {name}
url: {url}
environment: {environment}
state_dir: {folder}/{environment}
secrets: {{database: "file:{secret}", forge: "env:SAGESPEC_FORGE_TOKEN"}}
prune: true
report: {{github: {{token: {{secret: forge}}, api: {forge}, repository: acme/models}}}}
"""
PROD = "models_from: staging\njobs: never\n"
GATE = "{min_healthy: 300ms, gate: {metric: 'echo:value', worse_than_live_by_at_most: 0.05}}"
CANARY = "{strategy: canary, size: 50%, wait: 3s, bake: 1s, min_healthy: 300ms}"
SECRET = "environment: {DATABASE: {secret: database}}"


RETRAIN = """\
retrain:
  on_data: [train]
  settle: 0s
  at_most_every: 0s
  assign: {endpoint: answers, variant: candidate, weight: 10}
"""


def job(version: int, *, good: int, more: str = "") -> str:
    """A version of the model, with the metric echo:value at (good - 1) / 10."""
    return f"""\
---
apiVersion: sagespec/v1
kind: TrainingJob
name: model
version: {version}
algorithm: echo
hyperparameters: {{lines: {good}}}
channels: {{train: s3://acme/input/}}
{more}"""


@dataclass
class Team:
    """What its people and machines do. origin: the repository that all share, with a person's checkout."""

    folder: Path
    name: str
    server: S3Server
    origin: Origin
    forge: ForgeServer
    ports: dict[str, int] = field(default_factory=lambda: {"staging": free_port(), "prod": free_port()})

    def set_up(self) -> None:
        files = {"sagespec.yaml": PROJECT.format(name=self.name)}
        for name, port in self.ports.items():
            text = ENVIRONMENT.format(name=name, store=f"{self.server.uri}/store", port=port)
            files[f"environments/{name}.yaml"] = text + (PROD if name == "prod" else "")
            secret = self.secret(name, f"{name}-first")
            text = SOURCE.format(
                name=f"models-{name}",
                url=self.origin.url,
                environment=name,
                folder=self.folder,
                secret=secret,
                forge=self.forge.api,
            )
            self.source(name).write_text(text)
        self.origin.write(files)

    def source(self, environment: str) -> Path:
        return self.folder / f"{environment}.yaml"

    def secret(self, environment: str, value: str) -> Path:
        file = self.folder / f"{environment}.secret"
        file.write_text(value)
        file.chmod(0o600)
        return file

    def data(self, part: int) -> None:
        open_store(f"{self.server.uri}/input").write(f"part-{part}.csv", f"1,0.5,0.{part}\n".encode())

    def merge(self, text: str, specs: str) -> str:
        """Commit these specs on main, and push; the commit."""
        self.origin.commit(text, {"specs/model.yaml": specs})
        return self.origin.push()

    def run(self, *words: str, code: int = 0) -> str:
        """The command, in the person's checkout."""
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CI": "true"}
        command = [sys.executable, "-m", "sagespec", *words]
        done = subprocess.run(command, cwd=self.origin.work, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sync(self, environment: str, code: int = 0) -> str:
        """What the machine of an environment does every minute."""
        return self.run("sync", "--source", str(self.source(environment)), code=code)

    def bot(self) -> None:
        """What a scheduled workflow does, in a clone of its own."""
        clone = self.folder / "bot"
        if not clone.exists():
            subprocess.run(["git", "clone", "-q", self.origin.url, str(clone)], check=True)
        subprocess.run(["git", "pull", "-q"], cwd=clone, check=True)
        self.run("-C", str(clone), "bump", "--due", "--pr", "--env", "staging")

    def take(self, pull: dict[str, Any]) -> None:
        """Merge a pull request, as the forge's button does."""
        self.origin.git("fetch", "-q")
        self.origin.git("merge", "-q", "--no-ff", "-m", pull["title"], f"origin/{pull['head']['ref']}")
        self.origin.push()
        self.forge.close(pull["number"], merged=True)

    def at(self, environment: str, *words: str, code: int = 0) -> str:
        """A command on the machine of an environment."""
        return self.run("-C", str(self.folder / environment), *words, code=code)

    @contextmanager
    def callers(self, environment: str) -> Iterator[None]:
        """Somebody who asks all the time."""
        over = threading.Event()

        def call() -> None:
            while not over.wait(0.02):
                with suppress(OSError):
                    self.asked(environment)

        thread = threading.Thread(target=call)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def asked(self, environment: str) -> tuple[str, str]:
        """The model that answers there, and the secret that it has."""
        url = f"http://127.0.0.1:{self.ports[environment]}/endpoints/answers/invocations"
        with urllib.request.urlopen(urllib.request.Request(url, b"1,2"), timeout=20) as answer:
            return answer.headers["x-sagespec-model"], json.loads(answer.read())["env"]["DATABASE"]


@pytest.fixture
def team(tmp_path: Path, project_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    with s3_server("moto") as server, forge_server("github") as forge:
        server.activate(monkeypatch)
        names = {"": "github", "_API": forge.api, "_TOKEN": TOKEN, "_REPOSITORY": "acme/models"}
        for name, value in names.items():
            monkeypatch.setenv(f"SAGESPEC_FORGE{name}", value)
        team = Team(tmp_path, project_name, server, Origin(tmp_path / "git"), forge)
        team.set_up()
        yield team
        for environment in team.ports:
            team.at(environment, "destroy", "--yes")


def specs(*jobs: str, variants: list[str], rollout: str = GATE) -> str:
    return "".join(jobs) + endpoint(*(f"{variant} {SECRET}" for variant in variants), rollout=rollout)


def test_a_team_trains_reviews_promotes_rotates_repairs_and_retrains(team: Team) -> None:
    team.data(0)
    team.merge("the first model", specs(job(1, good=6), variants=["stable model@1 100"]))
    team.sync("staging")
    team.sync("prod")
    assert team.asked("staging") == ("model@1", "staging-first")
    assert team.asked("prod") == ("model@1", "prod-first")
    (trained,) = json.loads(team.at("prod", "lineage", "model@1", "--output", "json"))["jobs"]
    assert trained["promoted_from"]["project"] == f"{team.name}-staging"

    # A pull request: what its plan says is what a merge does.
    team.origin.git("checkout", "-q", "-b", "better")
    two = specs(job(1, good=6), job(2, good=7, more=RETRAIN), variants=["stable model@1 90", "candidate model@2 10"])
    team.origin.commit("a better model", {"specs/model.yaml": two})
    plan = json.loads(team.run("plan", "--env", "staging", "--against", "main", "--output", "json"))
    promised = [action["id"] for action in plan["actions"]]
    assert promised[0] == "run-job job/model@2"
    assert "hyperparameters.lines" in json.dumps(plan["versions"])
    team.origin.git("checkout", "-q", "main")
    team.origin.git("merge", "-q", "--no-ff", "better", "-m", "merge: a better model")
    team.origin.push()
    done = " ".join(team.sync("staging").split())
    assert [name for name in promised if f"done {' '.join(name.split()[:2])}" not in done] == []
    team.sync("prod")
    assert {team.asked("prod")[0] for _ in range(80)} == {"model@1", "model@2"}  # promoted: it trains nothing there

    # A secret is rotated: other containers, no other model.
    team.secret("prod", "prod-second")
    team.sync("prod")
    assert team.asked("prod")[1] == "prod-second"

    # Somebody merges a worse model. It is trained, and gets no traffic anywhere; then it is reverted.
    three = specs(job(2, good=7, more=RETRAIN), job(3, good=2), variants=["stable model@3 100"])
    team.merge("a worse model", three)
    assert "model@3: echo:value 0.1 is worse than 0.5 of model@1" in team.sync("staging", code=1)
    assert team.asked("staging")[0] in ("model@1", "model@2")
    team.origin.git("revert", "--no-edit", "HEAD")
    team.origin.push()
    team.sync("staging")

    # Somebody merges a model that fails requests: it is taken back, and the commit is told so.
    bad = two.replace(SECRET, "environment: {DATABASE: {secret: database}, ECHO_FAILS: '1'}")
    commit = team.merge("it fails", bad.replace(GATE, CANARY))
    with team.callers("staging"):
        assert "taken back" in team.sync("staging", code=1)
    assert [state for state, *_ in team.forge.statuses[commit]][-1] == "failure"
    team.origin.git("revert", "--no-edit", "HEAD")
    team.origin.push()
    team.sync("staging")

    # A container dies by night.
    victim = instance_of(team, "staging")
    os.kill(victim, signal.SIGKILL)
    assert "drift" in team.at("staging", "drift", code=2)
    team.sync("staging")
    team.at("staging", "drift")
    assert team.asked("staging")[0] in ("model@1", "model@2")

    # New data come. The bot asks first whether it may train, and then whether the model may have traffic.
    team.data(1)
    team.bot()
    (first,) = team.forge.pulls
    assert "1 -> 2 objects, 1 new, 0 changed, 0 gone" in first["body"]
    team.bot()  # nothing is new: the same pull request
    assert len(team.forge.pulls) == 1
    team.take(first)
    team.sync("staging")
    team.bot()
    second = team.forge.pulls[1]
    assert "echo:value" in second["body"]
    team.take(second)
    team.sync("staging")
    team.sync("prod")
    assert {team.asked("prod")[0] for _ in range(80)} == {"model@1", "model@4"}
    commit = team.origin.head
    assert [state for state, *_ in team.forge.statuses[commit]][-1] == "success"


def instance_of(team: Team, environment: str) -> int:
    """The process that keeps the stable instance there running."""
    there = (team.folder / environment).rglob("container.json")
    (container,) = [path for path in there if "endpoint/answers/stable" in path.read_text()]
    return int((container.parent / "process").read_bytes().split()[0])
