"""Folders of this machine that a real engine is shown, and those that it is not."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.programs import Image
from tests.runtimes.docker.probe import silent

pytestmark = pytest.mark.docker


def test_what_the_engine_does_not_see_as_we_do_is_not_mounted(
    runtime: DockerRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker_client: Any, project_name: str
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "witness").write_text("here")
    monkeypatch.chdir(tmp_path)
    here = Path("/proc/self/cwd")  # another folder for each process, and so for the engine
    assert (here / "witness").read_text() == "here"
    assert runtime.mounts(here, "witness") == ""
    assert runtime.mounts(tmp_path, "witness") == "read-only"
    assert runtime.mounts(tmp_path / "not there", "witness") == ""
    assert docker_client.containers(all=True, filters={"name": f"sagespec_{project_name}_probe"}) == []


@pytest.mark.parametrize("nanoseconds", [5_600, 34_600, 999_999_600])
def test_a_time_that_engine_and_python_round_differently_is_the_same(
    runtime: DockerRuntime, tmp_path: Path, nanoseconds: int
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "witness").write_text("here")
    os.utime(tmp_path / "witness", ns=(0, 1_700_000_000_000_000_000 + nanoseconds))
    assert runtime.mounts(tmp_path, "witness") == "read-only"


def test_an_image_that_names_no_command_can_be_shown_folders_too(
    runtime: DockerRuntime, tmp_path: Path, docker_client: Any, project_name: str
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "witness").write_text("here")
    dockerfile = io.BytesIO(b"FROM debian:bookworm-slim\nCMD []\n")
    list(docker_client.build(fileobj=dockerfile, tag=project_name, rm=True))
    try:
        runtime.prepare(Image(project_name), silent)
        assert runtime.mounts(tmp_path, "witness") == "read-only"
    finally:
        docker_client.remove_image(project_name)


def test_nothing_is_mounted_by_an_engine_elsewhere(
    runtime: DockerRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "witness").write_text("here")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert runtime.mounts(tmp_path, "witness") == ""


def test_what_a_run_was_killed_in_the_midst_of_filling_goes_in_time(
    runtime: DockerRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker_client: Any, project_name: str
) -> None:
    first, later = (f"sagespec_{project_name}_{name}" for name in ("first", "later"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as until_killed:
        until_killed.setattr(runtime.volumes, "_upload", killed)
        for step in ("_remove_filler", "remove"):  # the dead clear up nothing
            until_killed.setattr(runtime.volumes, step, silent)
        with pytest.raises(KeyboardInterrupt):
            runtime.volumes.fill(first, tmp_path)
    monkeypatch.setattr("sagespec.runtimes.docker.volumes.UNUSED_VOLUME_DAYS", 0)
    runtime.volumes.fill(later, tmp_path)
    assert [runtime.volumes.has(name) for name in (first, later)] == [False, True]
    assert docker_client.containers(all=True, filters={"name": f"sagespec_{project_name}_probe"}) == []
