"""A control plane on a small project of this test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sagespec.api.serve import listening
from sagespec.project import Project
from tests.planes import Plane
from tests.ports import free_port

SETTINGS = "apiVersion: sagespec/v1\nkind: Project\nname: {name}\n"


@pytest.fixture
def root(tmp_path: Path, project_name: str) -> Path:
    folder = tmp_path / "project"
    (folder / "specs").mkdir(parents=True)
    (folder / "sagespec.yaml").write_text(SETTINGS.format(name=project_name))
    return folder


@contextmanager
def plane_of(root: Path, **more: Any) -> Iterator[Plane]:
    told: list[str] = []
    with Project(root, runtime="process") as project:
        with listening(project, ports=[free_port()], tell=told.append, **more) as found:
            yield Plane(root, found, told)


@pytest.fixture
def plane(root: Path) -> Iterator[Plane]:
    with plane_of(root) as found:
        yield found


@pytest.fixture
def open_plane(root: Path) -> Iterator[Plane]:
    """For whoever asks, signed or not."""
    with (root / "sagespec.yaml").open("a") as settings:
        settings.write("api: {auth: none}\n")
    with plane_of(root) as found:
        yield found


@pytest.fixture
def read_only_plane(root: Path) -> Iterator[Plane]:
    with plane_of(root, read_only=True) as found:
        yield found
