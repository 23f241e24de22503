"""What a local process sees of our environment, and what it is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sagespec.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.process.probe import (
    environment,
)


def test_a_program_sees_little_of_our_environment(runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "RUNNER_TRACKING_ID", "PYTHONHOME"):
        monkeypatch.setenv(secret, "x")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    seen = environment(runtime)
    assert {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "RUNNER_TRACKING_ID", "PYTHONHOME"}.isdisjoint(seen)
    assert seen["PATH"] == os.environ["PATH"]
    assert (seen["https_proxy"], seen["LC_ALL"]) == ("http://proxy:3128", "C.UTF-8")


def test_a_program_is_told_its_place(runtime: ProcessRuntime, tmp_path: Path) -> None:
    seen = environment(runtime, environment={"GIVEN": "1", "SAGEMAKER_BIND_TO_PORT": "1"})
    container = runtime.inspect("job")
    assert container is not None
    assert seen["GIVEN"] == "1"
    assert seen["SAGEMAKER_BASE_DIR"] == runtime.base_dir("job") == str(tmp_path / "run" / "job" / "opt" / "ml")
    assert (seen["SAGEMAKER_BIND_TO_HOST"], seen["SAGEMAKER_BIND_TO_PORT"]) == (container.host, str(container.port))
    assert seen["PYTHONPATH"] == str(tmp_path / "images")
    assert "SM_MASTER_PORT" not in seen


def test_a_program_is_told_its_memory(runtime: ProcessRuntime) -> None:
    assert environment(runtime, "a", memory=2**30)["SAGESPEC_MEMORY_BYTES"] == str(2**30)
    assert "SAGESPEC_MEMORY_BYTES" not in environment(runtime, "b")
