"""A project on local processes, with the test image as its algorithm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, project_name: str) -> Workspace:
    """A project on local processes; what it runs is removed with its name."""
    return Workspace(tmp_path / "project", project_name, "process")


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    """A trained job and an endpoint with two variants."""
    workspace.write(job(1) + job(2) + endpoint("stable model@1 1", "candidate model@2 1"))
    workspace.run("apply")
    return workspace
