"""A project that is made from a branch: signed commits go live, and nothing that happens to it tears anything down."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sagespec.project import Project
from sagespec.records.records import Records
from sagespec.records.sources import SourceRecords
from sagespec.state.source import AttemptResult, HeldReason
from sagespec.stores.open import open_store
from tests.repositories import Origin, Person, signing
from tests.scenarios.conftest import RUNTIMES
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

JOBS = job(1) + job(2)


@dataclass
class Followed:
    """A repository, a source for it, and a workspace that has no specs of its own: only commands are run there."""

    workspace: Workspace
    origin: Origin
    ada: Person

    def __post_init__(self) -> None:
        self.source = self.workspace.root / "source.yaml"
        self.state = self.workspace.root / "state"
        signers = self.workspace.root / "signers"
        signers.write_text(self.ada.line())
        self.source.write_text(
            f"apiVersion: sagespec/v1\nkind: Source\nname: churn-prod\nurl: {self.origin.url}\ninterval: 1s\n"
            f"state_dir: {self.state}\nverify: {{signers: signers}}\nprune: true\n"
            f"pin: {{name: {self.workspace.name}}}\n"
        )
        settings = (self.workspace.root / "sagespec.yaml").read_text()
        self.origin.write({"sagespec.yaml": settings, "data/train.csv": "1,0.5,0.25\n0,0.1,0.9\n"})
        (self.workspace.root / "sagespec.yaml").unlink()

    def push(self, specs: str, *words: str, by: Person | None) -> str:
        self.origin.commit("edited", {"specs/all.yaml": specs}, by=by)
        return self.origin.push(*words)

    @property
    def records(self) -> SourceRecords:
        return SourceRecords(open_store(self.workspace.store, root=self.state), self.workspace.name)

    @property
    def applied(self) -> str:
        found = self.records.read().applied
        return found.commit if found else ""

    @property
    def held(self) -> str:
        found = self.records.read().held
        return found.reason if found else ""

    def weights(self) -> dict[str, float]:
        revisions = Records(open_store(self.workspace.store, root=self.state), self.workspace.name).revisions()
        return {v.name: v.weight for v in revisions["answers"][-1].asked.variants}

    def status(self, *, code: int) -> Any:
        done = self.workspace.run("source", "status", "--source", "source.yaml", "--output", "json", code=code)
        return json.loads(done.stdout)

    @contextmanager
    def watched(self) -> Iterator[None]:
        with (self.workspace.root / "watch.log").open("a") as log:
            process = subprocess.Popen(
                self.workspace.command("watch", "--source", "source.yaml", "--every", "2s"),
                cwd=self.workspace.root,
                env=self.workspace.env,
                stdout=log,
                stderr=log,
            )
            try:
                yield
            finally:
                process.kill()
                process.wait()


@pytest.fixture(params=RUNTIMES)
def followed(request: pytest.FixtureRequest, tmp_path: Path, project_name: str) -> Followed:
    workspace = Workspace(tmp_path / "machine", project_name, request.param)
    origin = Origin(tmp_path / "there")
    return Followed(workspace, origin, origin.person("ada@acme.example"))


def test_a_branch_is_followed_whatever_happens_to_it(followed: Followed) -> None:
    ada, answers = followed.ada, JOBS + endpoint("stable model@1 90", "candidate model@2 10")
    first = followed.push(answers, by=ada)
    with followed.watched():
        wait_until(lambda: followed.applied == first, 120)
        with Project.open(followed.state) as project:
            assert project.invoke("answers", "x").status == 200
            status = project.status()
            assert [state.state for state in status.endpoints] == ["serving"]
            assert status.source is not None
            assert status.source.working == first
        before = containers(followed)

        second = followed.push(answers.replace("weight: 90", "weight: 30"), by=ada)
        wait_until(lambda: followed.applied == second)
        assert followed.weights() == {"stable": 30, "candidate": 10}

        followed.push(answers.replace("weight: 90", "weight: 1"), by=None)
        wait_until(lambda: followed.held == HeldReason.UNVERIFIED)
        followed.origin.git("reset", "-q", "--hard", second)
        followed.origin.push("--force")
        wait_until(lambda: followed.held == "")

        wrong = followed.push(answers.replace("weight: 90", "weight: heavy"), by=ada)
        wait_until(lambda: [d.commit for d in followed.records.ends(1)] == [wrong])
        assert followed.applied == second
        assert followed.status(code=1)["attempted"]["result"] == AttemptResult.WRONG

        followed.origin.git("push", "-q", "origin", "HEAD:refs/heads/aside")
        subprocess.run(["git", "-C", str(followed.origin.bare), "update-ref", "-d", "refs/heads/main"], check=True)
        wait_until(lambda: followed.held == HeldReason.BRANCH_GONE)
        assert containers(followed) == before, "nothing was torn down, and nothing replaced"
        assert followed.weights() == {"stable": 30, "candidate": 10}

    with followed.watched():
        third = followed.push(answers.replace("weight: 90", "weight: 50"), by=ada)
        wait_until(lambda: followed.applied == third)
    assert containers(followed) == before
    assert followed.status(code=0)["applied"]["verified_by"] == "ada@acme.example"
    results = [(end.commit, end.result) for end in reversed(followed.records.ends())]
    applied, bad = AttemptResult.APPLIED, AttemptResult.WRONG
    assert results == [(first, applied), (second, applied), (wrong, bad), (third, applied)]


def containers(followed: Followed) -> set[tuple[str, Any]]:
    with Project.open(followed.state) as project:
        runtime = project.parts.runtime
        found = [runtime.inspect(container.name) for container in runtime.containers()]
        return {(container.name, container.started_at) for container in found if container}


def test_a_source_is_applied_once(tmp_path: Path, project_name: str) -> None:
    origin = Origin(tmp_path / "there")
    followed = Followed(Workspace(tmp_path / "machine", project_name, "process"), origin, origin.person("ada@acme"))

    def run(code: int) -> str:
        done = followed.workspace.run("sync", "--source", "source.yaml", code=code)
        return done.stdout + done.stderr

    assert "the repository has no main" in run(1)
    followed.push(JOBS, by=None)
    assert "is not signed; it is held" in run(1)
    first = followed.push(JOBS, by=followed.ada)
    run(0)
    assert followed.applied == first
    assert "nothing to do" in run(0)
    origin.bare.rename(tmp_path / "away.git")
    assert "the repository does not answer" in run(1)
    (tmp_path / "away.git").rename(origin.bare)
    followed.push(JOBS.replace("data/train.csv", "../../secret"), by=followed.ada)
    assert "is outside of the repository" in run(1)
    assert "is outside of the repository" in run(1), "it is wrong as long as it is there"
    assert followed.applied == first
    assert [end.result for end in followed.records.ends()] == [AttemptResult.WRONG, AttemptResult.APPLIED]


def test_a_commit_that_is_held_is_said_to_be_and_how_it_is_let_in(tmp_path: Path, project_name: str) -> None:
    origin = Origin(tmp_path / "there")
    followed = Followed(Workspace(tmp_path / "machine", project_name, "process"), origin, origin.person("ada@acme"))
    first = followed.push(job(1), by=followed.ada)
    followed.workspace.run("sync", "--source", "source.yaml")
    followed.origin.git(*signing(followed.ada), "commit", "-q", "--amend", "--allow-empty", "-S", "-m", "another first")
    other = followed.origin.push("--force")

    done = followed.workspace.run("sync", "--source", "source.yaml", code=1)
    text = f"the history was rewritten: {other[:12]} does not follow {first[:12]}"
    assert re.search(rf"^held +source: {text}; {first[:12]} stays in force$", done.stdout, re.MULTILINE)
    assert "failed" not in done.stdout, "nothing was tried"
    assert done.stdout.rstrip().endswith("nothing to do: what was applied before is up to date")
    fix = f"sagespec source accept {other} --source {followed.source}"
    assert done.stderr.splitlines() == [f"source: {text}; it is held", f"  fix  if that is meant: {fix}"]

    near = followed.workspace.run("source", "accept", "0000000", "--source", "source.yaml", code=1)
    assert f"if it is meant: {fix}" in near.stderr
    followed.workspace.run(*fix.removeprefix("sagespec ").split())
    followed.workspace.run("sync", "--source", "source.yaml")
    assert followed.applied == other


def test_a_repository_is_followed_without_a_file(tmp_path: Path, project_name: str) -> None:
    """All defaults, and an environment; a state folder of its own for each project."""
    workspace = Workspace(tmp_path / "machine", project_name, "process")
    origin = Origin(tmp_path / "there")
    settings = (workspace.root / "sagespec.yaml").read_text()
    patch = "patches: {job/model@1: {hyperparameters: {depth: 3}}}\n"
    prod = f"apiVersion: sagespec/v1\nkind: Environment\nname: prod\n{patch}"
    files = {
        "sagespec.yaml": settings,
        "environments/prod.yaml": prod,
        "data/train.csv": "1,2\n",
        "specs/a.yaml": job(1),
    }
    commit = origin.commit("one", files)
    origin.push()
    state = tmp_path / "state"
    log = tmp_path / "watch.log"
    words = ["watch", "--git", origin.url, "--env", "prod", "--interval", "1s", "--state-dir", str(state)]
    records = SourceRecords(open_store(workspace.store, root=state), f"{workspace.name}-prod")
    with log.open("w") as output:
        process = subprocess.Popen(
            workspace.command(*words), cwd=tmp_path, env=workspace.env, stdout=output, stderr=output
        )
        try:
            wait_until(lambda: (found := records.read().applied) is not None and found.commit == commit)
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
    with Project.open(state) as project:
        (trained,) = project.status().jobs
        assert (trained.state, trained.hyperparameters) == ("trained", {"depth": "3"})
