"""The workspace every scenario runs in, once for each runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.workspace import Workspace

RUNTIMES = ["process", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(params=RUNTIMES)
def workspace(request: pytest.FixtureRequest, tmp_path: Path, project_name: str, evidence: Path) -> Workspace:
    """A project with a directory store on the runtime at hand. `project_name` removes what runs when it has ended."""
    return Workspace(tmp_path / "project", project_name, request.param)
