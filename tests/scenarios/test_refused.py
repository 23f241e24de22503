"""What `apply` would refuse, `plan` refuses too: in CI, it is the plan that is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path, project_name: str) -> Workspace:
    return Workspace(tmp_path / "project", project_name, "process")


def refused(place: Workspace, *parts: str) -> None:
    for verb in ("plan", "apply"):
        result = place.run(verb, code=1)
        for part in parts:
            assert part in result.stdout + result.stderr, f"{verb}: {result.stdout}{result.stderr}"


def test_a_plan_refuses_what_this_engine_cannot_run(place: Workspace) -> None:
    place.write(job(1) + endpoint("main model@1 1"))
    place.run("apply")
    place.write(
        job(1)
        + endpoint("main model@1 1 resources: {memory: 60TiB}")
        + job(2, algorithm="echo").replace("algorithm: echo", "image: mine:1")
        + job(3).replace("algorithm: echo", "build: ../own")
    )
    (place.root / "own").mkdir()
    (place.root / "own" / "Dockerfile").write_text("FROM scratch\n")
    refused(
        place,
        "endpoint/answers: resources.memory of main: asks for 6.14e+04 GiB",
        "job/model@2: image mine:1 cannot run without Docker",
        "job/model@3: own cannot run without Docker: there is no executable file `train`",
    )
    notes = place.json("validate")["notes"]
    assert any(note.startswith("job/model@2: image mine:1 cannot run without Docker") for note in notes)
    assert "model@1  100 %   1/1" in place.run("status").stdout


@pytest.mark.docker
def test_a_plan_for_another_runtime_is_refused_as_its_apply_is(place: Workspace) -> None:
    place.write(job(1))
    place.run("apply")
    place.edit("runtime: process", "runtime: docker", "sagespec.yaml")
    refused(place, "this project runs under the runtime process, not docker")
    place.edit("runtime: docker", "runtime: process", "sagespec.yaml")
    assert "nothing to do" in place.run("plan").stdout
