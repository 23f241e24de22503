"""The workspace every scenario runs in, once for each runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.workspace import Workspace

RUNTIMES = ["process", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(params=RUNTIMES)
def workspace(request: pytest.FixtureRequest, tmp_path: Path, project_name: str, evidence: Path) -> Iterator[Workspace]:
    """A project with a directory store on the runtime at hand; destroyed afterwards."""
    place = Workspace(tmp_path / "project", project_name, request.param)
    yield place
    (evidence / "status.txt").write_text(place.run("status", code=None).stdout)
    (evidence / "plan.txt").write_text(place.run("plan", code=None).stdout)
    place.run("destroy", "--yes", code=None)
