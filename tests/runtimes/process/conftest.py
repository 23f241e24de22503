"""A ProcessRuntime with one built-in program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.process.probe import (
    PROGRAM,
)


@pytest.fixture
def runtime(tmp_path: Path, project_name: str) -> Iterator[ProcessRuntime]:
    (tmp_path / "images" / "probe").mkdir(parents=True)
    for word in ("train", "serve"):
        (tmp_path / "images" / "probe" / word).write_text(PROGRAM)
    runtime = ProcessRuntime(project_name, tmp_path / "run", tmp_path / "images")
    yield runtime
    for container in runtime.containers():
        runtime.remove(container.name)
