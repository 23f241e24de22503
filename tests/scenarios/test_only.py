"""One job or endpoint applied alone: nothing else is touched, and nothing else is in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec import Options, SpecError
from sagespec.state.addresses import endpoint_address, job_address
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

ANSWERS = endpoint_address("answers")


@pytest.fixture
def workspace(tmp_path: Path, project_name: str) -> Workspace:
    return Workspace(tmp_path / "project", project_name, "process")


def states(workspace: Workspace) -> dict[str, str]:
    with workspace.project() as project:
        status = project.status()
        jobs: dict[str, str] = {str(row.address): row.state for row in status.jobs}
        return jobs | {str(row.address): row.state for row in status.endpoints}


def test_one_job_is_trained_and_an_endpoint_brings_the_jobs_it_needs(workspace: Workspace) -> None:
    workspace.write(job(1) + job(2) + job(3), "specs/jobs.yaml")
    workspace.write(endpoint("only model@2 1"), "specs/served.yaml")
    with workspace.project() as project:
        assert project.apply(only=[job_address("model", 1)]).ok
        assert states(workspace) == {
            "job/model@1": "trained",
            "job/model@2": "waiting",
            "job/model@3": "waiting",
            "endpoint/answers": "waiting",
        }
        assert project.apply(only=[ANSWERS]).ok
        assert states(workspace) == {
            "job/model@1": "trained",
            "job/model@2": "trained",
            "job/model@3": "waiting",
            "endpoint/answers": "serving",
        }


def test_what_is_wrong_elsewhere_is_not_in_the_way_and_what_is_wrong_here_is_told(workspace: Workspace) -> None:
    workspace.write(job(1), "specs/one.yaml")
    workspace.write(job(2).replace("algorithm: ", "algorihtm: "), "specs/two.yaml")
    workspace.write("{", "specs/torn.yaml")
    with workspace.project() as project:
        with pytest.raises(SpecError):
            project.apply()
        assert project.apply(only=[job_address("model", 1)]).ok
        with pytest.raises(SpecError, match="algorihtm"):
            project.apply(only=[job_address("model", 2)])
        workspace.write(job(1), "specs/again.yaml")
        with pytest.raises(SpecError, match="defined twice"):
            project.apply(only=[job_address("model", 1)])
    for file in ("torn", "again"):
        (workspace.root / "specs" / f"{file}.yaml").unlink()
    workspace.write(job(2), "specs/two.yaml")
    with workspace.project() as project, pytest.raises(SpecError, match=r"job/model@9: is in no spec"):
        project.apply(only=[job_address("model", 9)])


def test_one_endpoint_is_pruned_and_the_others_stay(workspace: Workspace) -> None:
    workspace.write(job(1), "specs/jobs.yaml")
    for name in ("answers", "other", "third"):
        workspace.write(endpoint("only model@1 1", name=name), f"specs/{name}.yaml")
    with workspace.project() as project:
        assert project.apply().ok
        before = {name for name in workspace.names() if not name.startswith("endpoint/answers/")}
        for file in ("answers", "other"):
            (workspace.root / "specs" / f"{file}.yaml").unlink()
        result = project.apply(Options(prune=True), only=[ANSWERS])
        assert result.ok
        assert {outcome.about.partition("/only")[0] for outcome in result.outcomes} == {"endpoint/answers"}
        assert set(workspace.names()) == before
        assert [project.invoke(name, b"0.5,0.25").status for name in ("other", "third")] == [200, 200]
        assert project.plan().notes == ("endpoint/other is live but in no spec: --prune removes it",)
        workspace.write(endpoint("only model@1 1"), "specs/answers.yaml")
        assert project.apply().ok, "what was removed alone is applied again when it is asked for"
