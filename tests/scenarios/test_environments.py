"""Staging and production from the same specs: trained in one, copied to the other, and never in each other's way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.project import Project
from sagespec.reconcile.options import Options
from sagespec.state.addresses import job_address
from sagespec.state.manifest import Manifest
from tests import built
from tests.ports import free_port
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import REPOSITORY, Workspace

HEAD = "apiVersion: sagespec/v1\nkind: Environment\n"
JOB = job_address("model", 1)


@pytest.fixture
def team(workspace: Workspace) -> Iterator[Workspace]:
    """A project with the environments staging and prod, each with a store and a port of its own."""
    (workspace.root / "environments").mkdir()
    for name, more in (
        ("staging", ""),
        ("prod", "models_from: staging\njobs: never\npatches: {endpoint/answers: {variants: {a: {instances: 2}}}}\n"),
    ):
        settings = f"project: {{store: file://.sagespec/{name}, gateway: {{port: {free_port()}}}}}\n"
        workspace.write(f"{HEAD}name: {name}\n{settings}{more}", f"environments/{name}.yaml")
    workspace.edit("gateway:", "require_environment: true\ngateway:", "sagespec.yaml")
    workspace.write(job(1) + endpoint("a model@1 1"))
    try:
        yield workspace
    finally:
        for name in ("staging", "prod"):
            with Project(workspace.root, environment=name) as found:
                found.destroy(check=False)


def project(team: Workspace, environment: str) -> Project:
    return Project(team.root, environment=environment)


def manifest(found: Project) -> Manifest | None:
    return found.parts.records.manifests([JOB]).get(JOB)


def instances(found: Project) -> int:
    return sum(container.address.kind == "endpoint" for container in found.parts.runtime.containers())


def test_a_model_is_trained_once_and_promoted(team: Workspace) -> None:
    assert "no environment is chosen" in team.run("plan", code=1).stderr
    with project(team, "staging") as staging, project(team, "prod") as prod:
        (problem, *_) = prod.plan().refused
        assert "whether environment staging has trained it cannot be told" in problem.what, "it has no store yet"
        staging.apply()
        assert prod.plan().counts["copy-model"] == 1
        prod.apply()

        trained, copied = manifest(staging), manifest(prod)
        assert trained
        assert copied
        assert "promoted_from" not in trained.model_dump()
        assert copied.promoted_from
        assert copied.promoted_from.project == f"{team.name}-staging"
        assert copied.artifacts == trained.artifacts, "with their checksums"
        assert (copied.key, copied.metrics, copied.started_at) == (trained.key, trained.metrics, trained.started_at)
        (job_here,) = prod.status().jobs
        assert job_here.detail == f"trained in project {team.name}-staging"
        assert [list(one.plan()) for one in (staging, prod)] == [[], []]
        assert [instances(one) for one in (staging, prod)] == [1, 2]
        assert all(one.invoke("answers", [1, 2]).ok for one in (staging, prod))

        team.edit("name: prod", "name: prod\nleave_out: [endpoint/answers]", "environments/prod.yaml")
        team.edit("patches: .*", "", "environments/prod.yaml")
        prod.apply(Options(prune=True))
        assert [instances(one) for one in (staging, prod)] == [1, 0]
        prod.destroy()
        assert staging.invoke("answers", [1, 2]).ok, "it is another project"

        team.edit("version: 1", "version: 2")
        assert "environment staging has not trained it, and nothing is trained here" in prod.plan().refused[0].what


def test_a_version_whose_spec_is_gone_is_copied_from_where_it_was_trained(team: Workspace) -> None:
    """`bump` raises the version of the one spec: production, applied now for the first time, still serves the other."""
    with project(team, "staging") as staging, project(team, "prod") as prod:
        staging.apply()
        team.edit("version: 1", "version: 2")
        staging.apply()
        prod.validate()
        copied = [str(action.about) for action in prod.plan() if action.verb == "copy-model"]
        assert sorted(copied) == ["job/model@1", "job/model@2"]
        prod.apply()
        assert prod.invoke("answers", [1, 2]).ok
        assert not list(prod.plan())

        team.edit("model@1", "model@7")
        with pytest.raises(SpecError, match="no spec defines that job"):
            prod.plan()


def test_a_damaged_model_is_not_promoted(team: Workspace) -> None:
    with project(team, "staging") as staging, project(team, "prod") as prod:
        staging.apply()
        model = Path(team.root, ".sagespec", "staging", f"{team.name}-staging", "jobs", "model", "1", "model.tar.gz")
        model.write_bytes(b"other" + model.read_bytes()[5:])
        failed = prod.apply(check=False)
        assert not failed.ok
        assert "model.tar.gz" in str(failed)
        assert manifest(prod) is None
        assert instances(prod) == 0


@pytest.mark.slow
def test_the_example_is_promoted_as_its_readme_says(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready("xgboost")
    shutil.copytree(REPOSITORY / "examples" / "environments", workspace.root, dirs_exist_ok=True)
    workspace.edit("name: .*", f"name: {workspace.name}\nruntime: {workspace.runtime}", "sagespec.yaml")
    for name, port in (("staging", 8090), ("prod", 8080)):
        workspace.edit(f"port: {port}", f"port: {free_port()}", f"environments/{name}.yaml")
    subprocess.run([sys.executable, str(workspace.root / "make_data.py")], check=True)
    with project(workspace, "staging") as staging, project(workspace, "prod") as prod:
        try:
            staging.apply()
            assert prod.plan().counts["copy-model"] == 2
            prod.apply()
            assert instances(prod) == 3
            assert 0 < float(prod.invoke("churn", [3, 5, 80.0, 0]).text) < 1
        finally:
            workspace.edit("protect: true", "protect: false", "environments/prod.yaml")
            prod.apply(check=False)
            for found in (staging, prod):
                found.destroy(check=False)
