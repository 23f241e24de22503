"""Whose containers DockerRuntime sees and touches on a real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from tests.runtimes.docker.probe import reference

pytestmark = pytest.mark.docker


def test_containers_of_nobody_and_of_other_projects_are_not_touched(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any, images: Path, project_name: str
) -> None:
    launch = a_server()
    image = reference(runtime)
    foreign = docker_client.create_container(image, name=launch.name)["Id"]
    try:
        assert runtime.containers() == ()
        assert runtime.inspect(launch.name) is None
        assert runtime.inspect(foreign[:12]) is None
        assert list(runtime.logs(launch.name)) == []
        runtime.stop(launch.name, grace_seconds=0)
        runtime.remove(launch.name)
        runtime.destroy()
        for refused in (
            lambda: runtime.start(launch.name),
            lambda: runtime.write(launch.name, {"a": b""}),
            lambda: runtime.read(launch.name, "a"),
            lambda: runtime.fetch(launch.name, 80, ["/"]),
        ):
            with pytest.raises(WorldError, match="is not there"):
                refused()
        with pytest.raises(WorldError, match=f"outside project {project_name}"):
            runtime.create([launch])
        assert docker_client.inspect_container(foreign)["State"]["Status"] == "created"
    finally:
        docker_client.remove_container(foreign, force=True)


def test_two_projects_do_not_see_each_other(
    runtime: DockerRuntime, a_server: Callable[..., Launch], images: Path, project_name: str
) -> None:
    runtime.create([a_server()])
    with DockerRuntime(project_name[:-1], images) as other:
        assert other.containers() == ()
        other.remove(a_server().name)
        other.destroy()
    assert [container.name for container in runtime.containers()] == [a_server().name]
