"""A workspace for what can be killed from outside only where it runs as processes of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.workspace import Workspace


@pytest.fixture
def process_workspace(tmp_path: Path, project_name: str, evidence: Path) -> Workspace:
    return Workspace(tmp_path / "project", project_name, "process")
