"""Whoever asks for what gc has swept is told so, with the way back: by name, by its place in the store, from Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sagespec.errors import Problem, SpecError, WorldError
from sagespec.events import silent
from sagespec.handles.jobs import Job
from sagespec.plan import Plan
from sagespec.project import Project
from sagespec.state.addresses import job_address
from sagespec.state.observed import Observed
from sagespec.verbs import gc
from sagespec.verbs.refused_models import refused_models
from sagespec.verbs.states import JobWord, job_state
from tests.dashboard.served import project_in
from tests.dashboard.shelf import fill
from tests.fakes.specs import desired_from

JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: next
version: 1
algorithm: xgboost
hyperparameters: {objective: "reg:squarederror", num_round: 1}
channels: {train: {source: PLACE, content_type: text/csv}}
"""
ENDPOINT = """\
apiVersion: sagespec/v1
kind: Endpoint
name: e
variants:
  - {name: only, model: PLACE, algorithm: xgboost}
"""
AN_ENDPOINT = {"kind": "Endpoint", "name": "e", "variants": [{"name": "only", "model": "churn@5"}]}
BACK = "restore it from a back-up: sagespec gc --restore churn@5 --from MODEL.tar.gz; or train it as another version"
STORE = "../.sagespec/store/shown/jobs/churn/5"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """churn@5 is swept, churn@4 is not."""
    with project_in(tmp_path) as project:
        fill(project)
        yield project


def problems(project: Project, text: str) -> tuple[Problem, ...]:
    (project.root / "specs" / "asks.yaml").write_text(text)
    with pytest.raises(SpecError) as error:
        project.plan()
    return error.value.problems


@pytest.mark.parametrize(
    ("spec", "place", "file", "field"),
    [
        (JOB, f"{STORE}/output.tar.gz", "output.tar.gz", "channels.train.source"),
        (JOB, STORE, "what the job made", "channels.train.source"),
        (JOB + f"checkpoints: {{source: {STORE}/checkpoints/}}\n", "s3://a/b/", "checkpoints", "checkpoints.source"),
    ],
)
def test_data_that_were_swept_are_refused_where_they_are_named(
    spec: str, place: str, file: str, field: str, project: Project
) -> None:
    (problem,) = problems(project, spec.replace("PLACE", place))
    assert problem.what.startswith(f"{field}: {file} of churn@5 was swept by gc at {datetime.now(UTC):%Y-}")
    assert problem.about == "job/next@1"
    assert problem.fix == "name other data, or train churn as another version"
    assert problem.where is not None
    assert problem.where.file == "specs/asks.yaml"


def test_a_model_that_was_swept_is_refused_by_its_place_as_by_its_name(project: Project, tmp_path: Path) -> None:
    (problem,) = problems(project, ENDPOINT.replace("PLACE", f"{STORE}/model.tar.gz"))
    assert problem.what.startswith("the model of churn@5 was swept by gc at ")
    assert (problem.about, problem.fix) == ("endpoint/e", BACK)
    (project.root / "specs" / "asks.yaml").write_text(ENDPOINT.replace("PLACE, algorithm: xgboost", "churn@5"))
    (refused,) = project.plan().refused
    assert (refused.what, refused.about, refused.fix) == (problem.what, "endpoint/e", BACK)

    copy = tmp_path / "copy.tar.gz"
    copy.write_bytes(b"model" * 5)
    gc.restore(project.parts, job_address("churn", 5), copy, report=silent)
    assert not [one for one in project.plan().refused if "swept" in one.what]


def test_what_was_not_swept_and_what_stays_of_what_was_are_data_as_ever(project: Project) -> None:
    logs = project.root / ".sagespec" / "store" / "shown" / "jobs" / "churn" / "5" / "logs"
    logs.mkdir()
    (logs / "a.csv").write_text("1,2\n")
    (project.root / "specs" / "asks.yaml").write_text(JOB.replace("PLACE", f"{STORE}/logs/"))
    assert [str(action.about) for action in project.plan()] == ["job/next@1"]
    (problem,) = problems(project, JOB.replace("PLACE", STORE.replace("/5", "/4") + "/output.tar.gz"))
    assert "does not exist" in problem.what


def test_python_is_told_the_way_back(project: Project) -> None:
    with pytest.raises(WorldError, match="the model of churn@5 was swept by gc") as error:
        _ = Job.of(project, job_address("churn", 5)).model
    assert error.value.problems[0].fix == BACK
    assert Path(Job.of(project, job_address("churn", 4)).model).is_file()


def test_the_way_back_leads_to_the_environment(project: Project) -> None:
    job, there = job_address("churn", 5), f"{BACK.replace('MODEL.tar.gz', 'MODEL.tar.gz --env prod')}"
    manifests = project.parts.records.manifests([job])
    row = job_state(job, Observed(manifests=manifests), Plan(), environment="prod")
    assert row.detail == f"its model was swept by gc; {there}"
    project.parts.environment = "prod"
    with pytest.raises(WorldError) as error:
        _ = Job.of(project, job).model
    assert error.value.problems[0].fix == there
    wanted = replace(
        desired_from({"kind": "TrainingJob", "name": "churn", "version": 5}, AN_ENDPOINT), environment="prod"
    )
    (problem,) = refused_models(wanted, Observed(manifests=manifests)).values()
    assert problem.fix == there


def test_a_job_of_the_specs_says_beside_its_state_that_its_model_was_swept(project: Project) -> None:
    job = job_address("churn", 5)
    manifests = project.parts.records.manifests([job])
    row = job_state(job, Observed(manifests=manifests), Plan())
    assert (row.state, row.detail) == (JobWord.TRAINED, f"its model was swept by gc; {BACK}")
    swept_at = manifests[job].swept_at
    assert swept_at is not None
    assert row.as_json()["swept_at"] == swept_at.isoformat()
