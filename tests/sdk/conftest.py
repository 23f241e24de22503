"""A desk on each runtime: `sagespec api` in a project, and clients beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.workspace import Workspace
from tests.sdk.desk import Desk


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def desk(request: pytest.FixtureRequest, tmp_path: Path, project_name: str, evidence: Path) -> Desk:
    return Desk(Workspace(tmp_path / "project", project_name, request.param), tmp_path / "client")


@pytest.fixture
def process_desk(tmp_path: Path, project_name: str, evidence: Path) -> Desk:
    """For what does not depend on the runtime."""
    return Desk(Workspace(tmp_path / "project", project_name, "process"), tmp_path / "client")
