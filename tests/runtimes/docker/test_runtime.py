"""Stopping and removing containers of a real engine, and its events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from sagespec.state.observed import ContainerState
from sagespec.state.programs import Builtin
from tests.runtimes.docker.probe import reference, run, silent, until, write_program

pytestmark = pytest.mark.docker


def test_stop_gives_the_grace_and_then_kills(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    polite = a_server("trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.1; done")
    deaf = a_server("trap '' TERM; echo ready; while :; do sleep 0.1; done", instance=1, keep_running=True)
    runtime.create([polite, deaf])
    for launch in (polite, deaf):
        runtime.start(launch.name)
        until(lambda launch=launch: "ready" in runtime.logs(launch.name))  # type: ignore[misc]
    runtime.stop(polite.name, grace_seconds=20)
    runtime.stop(deaf.name, grace_seconds=0.5)
    runtime.stop(deaf.name, grace_seconds=0.5)
    runtime.stop("sagespec_none", grace_seconds=0.5)
    ends = [(container.state, container.exit_code) for container in runtime.containers()]
    assert ends == [(ContainerState.EXITED, 7), (ContainerState.EXITED, 137)]


def test_remove_takes_the_volumes_along_and_may_be_repeated_and_raced(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any, images: Path, project_name: str
) -> None:
    if not (images / "volume").is_dir():
        write_program(images, "volume", f"FROM {reference(runtime)}\nVOLUME /opt/ml /scratch\n")
    program = Builtin("volume")
    runtime.prepare(program, silent)
    launch = replace(a_server(), program=program)
    runtime.create([launch])
    runtime.write(launch.name, {"model/here": b"in a volume"})
    runtime.start(launch.name)
    assert runtime.read(launch.name, "model/here") == b"in a volume"
    volumes = [mount["Name"] for mount in docker_client.inspect_container(launch.name)["Mounts"]]
    assert len(volumes) == 2
    with DockerRuntime(project_name, images) as other, ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(one.remove, launch.name) for one in (runtime, other) * 2]:
            done.result()
    runtime.remove(launch.name)
    assert runtime.inspect(launch.name) is None
    left = {volume["Name"] for volume in docker_client.volumes()["Volumes"] or ()}
    assert not left & set(volumes)


def test_destroy_removes_the_network_and_may_be_repeated(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    runtime.create([a_server()])
    runtime.remove(a_server().name)
    runtime.destroy()
    runtime.destroy()
    assert docker_client.networks(names=[runtime.network_name]) == []


def test_a_paused_container_is_found_running_and_start_wakes_it(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    runtime.create([a_server()])
    runtime.start(a_server().name)
    docker_client.pause(a_server().name)
    assert runtime.containers()[0].state is ContainerState.RUNNING
    runtime.start(a_server().name)
    assert docker_client.inspect_container(a_server().name)["State"]["Status"] == "running"
    docker_client.pause(a_server().name)
    runtime.stop(a_server().name, grace_seconds=0)
    runtime.remove(a_server().name)


def test_events_name_our_containers_and_end_when_left_by_another_thread(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], docker_client: Any
) -> None:
    (launch,) = a_job("true")
    seen: list[str] = []
    with runtime.events() as events:
        reader = threading.Thread(target=lambda: seen.extend(events))
        reader.start()
        foreign = docker_client.create_container(reference(runtime), environment={"SCRIPT": "true"})["Id"]
        docker_client.start(foreign)
        docker_client.remove_container(foreign, force=True)
        run(runtime, launch)
        runtime.remove(launch.name)
        until(lambda: len(seen) >= 3)
        time.sleep(0.2)  # the reader waits for the next one when the stream is closed under it
    reader.join(5)
    assert not reader.is_alive()
    assert seen == [launch.name] * 3  # start, die, destroy
