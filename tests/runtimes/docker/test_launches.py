"""What a container is created with: limits, rights, GPUs and ports, as the engine reads them back."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import from_env

from sagespec.errors import WorldError
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, ContainerState
from sagespec.state.programs import Image
from tests.runtimes.docker.probe import reference, run, silent, until

pytestmark = pytest.mark.docker


def test_limits_and_hardening_are_what_the_engine_reads_back(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    launch = a_server(cpus=0.5, memory=256 << 20, keep_running=True)
    runtime.create([launch])
    details = docker_client.inspect_container(launch.name)
    host, config = details["HostConfig"], details["Config"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 256 << 20, 256 << 20)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["PidsLimit"], host["ShmSize"], host["Init"]) == (4096, 128 << 20, False)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert [host["Binds"] or [], details["Mounts"], host["PortBindings"] or {}] == [[], [], {}]
    assert (config["StopSignal"], config["Cmd"], config["User"]) == ("SIGTERM", ["serve"], "")
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert list(details["NetworkSettings"]["Networks"]) == [runtime.network_name]


def test_what_works_in_folders_of_this_machine_does_so_as_we_do(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any, tmp_path: Path
) -> None:
    """A notebook's own: no other container writes here, or is in this machine's network."""
    launch = a_server(f"id -u > {tmp_path}/whose; sleep 60", folders=(str(tmp_path),), keep_running=True, may_end=True)
    runtime.create([launch])
    details = docker_client.inspect_container(launch.name)
    host = details["HostConfig"]
    assert (host["NetworkMode"], host["RestartPolicy"]["Name"]) == ("host", "on-failure")
    assert (host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (["ALL"], None, ["no-new-privileges"])
    assert [(m["Source"], m["Destination"], m["RW"]) for m in details["Mounts"]] == [(str(tmp_path),) * 2 + (True,)]
    runtime.start(launch.name)
    until(lambda: (tmp_path / "whose").exists() and (tmp_path / "whose").read_text() == f"{os.getuid()}\n")


class WithGpus(DockerRuntime):
    """As on an engine with GPUs that this machine does not have: containers can be made there, and not started."""

    def capacity(self) -> Capacity:
        return Capacity(4, 2**33, ("GPU-a", "GPU-b"))


def test_gpus_are_given_by_id_and_never_twice_whatever_the_project(
    runtime: DockerRuntime,
    project_name: str,
    images: Path,
    a_server: Callable[..., Launch],
    a_job: Callable[..., list[Launch]],
) -> None:
    (job,) = a_job("exit 0")
    with WithGpus(project_name, images) as mine, WithGpus(f"{project_name}-b", images) as theirs:
        mine.create([replace(job, gpus=1, cpus=0.5)])
        details = from_env().api.inspect_container(job.name)
        (request,) = details["HostConfig"]["DeviceRequests"]
        assert (request["Driver"], request["DeviceIDs"], request["Capabilities"]) == ("nvidia", ["GPU-a"], [["gpu"]])
        server = replace(a_server(), name=f"sagespec_{project_name}-b_server", gpus=1)
        try:
            theirs.create([server])
            assert [c.gpus for c in theirs.containers()] == [("GPU-b",)]
            with pytest.raises(WorldError, match=rf"of 2 there are 0 free\n.*{job.name} has GPU-a"):
                mine.create([replace(a_server(), gpus=1)])
        finally:
            theirs.remove(server.name)
            theirs.destroy()
        mine.create([replace(a_server(), gpus=1)])
        assert sorted(c.gpus for c in mine.containers()) == [("GPU-a",), ("GPU-b",)]


def test_a_job_is_not_restarted_and_keeps_its_exit_code(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job("exit 3")
    assert run(runtime, launch) == []
    (listed,), inspected = runtime.containers(), runtime.inspect(launch.name)
    assert inspected is not None
    assert (inspected.state, inspected.exit_code) == (ContainerState.EXITED, 3)
    assert inspected.started_at is not None
    assert abs(inspected.started_at.timestamp() - time.time()) < 60
    assert listed.started_at is not None
    assert abs((listed.started_at - inspected.started_at).total_seconds()) < 5
    assert replace(listed, started_at=None) == replace(inspected, started_at=None)


def test_a_server_that_dies_is_restarted_and_counted(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    launch = a_server("sleep 0.2; exit 1", keep_running=True)
    runtime.create([launch])
    runtime.start(launch.name)
    until(lambda: runtime.inspect(launch.name).restarts >= 2)  # type: ignore[union-attr]
    runtime.stop(launch.name, grace_seconds=0)
    assert runtime.inspect(launch.name).state is ContainerState.EXITED  # type: ignore[union-attr]


def test_a_builtin_has_no_capability_and_yet_writes_what_was_put(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("1\n")
    os.chown(tmp_path / "data", 1234, 1234) if os.geteuid() == 0 else None
    (launch,) = a_job(
        "grep CapEff /proc/self/status; cd /opt/ml; echo 2 >> input/data; mkdir model && echo m > model/m; "
        "stat -c '%u:%g %a %n' . input input/data"
    )
    runtime.create([launch])
    runtime.put(launch.name, "input/data", tmp_path / "data")
    runtime.start(launch.name)
    assert list(runtime.logs(launch.name, follow=True))[1:] == [
        "CapEff:\t0000000000000000",
        "0:0 755 .",
        "0:0 755 input",
        "0:0 644 input/data",
    ]
    assert runtime.read(launch.name, "input/data") == b"1\n2\n"


def test_an_image_of_ones_own_runs_as_root_and_can_hand_work_to_another_user(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], docker_client: Any
) -> None:
    """What nginx and gunicorn do: make a folder, give it away, start workers as that user, and end them."""
    (launch,) = a_job(
        "id -u; mkdir /run/handed && chown www-data /run/handed && "
        "setpriv --reuid www-data --regid www-data --clear-groups sh -c 'id -un > /run/handed/who; exec sleep 100' & "
        "sleep 0.5; cat /run/handed/who; kill $!; wait $! 2>/dev/null; echo $?; chroot / true && echo chroot; "
        "mknod /dev/x c 1 3 || echo no devices; grep NoNewPrivs /proc/self/status"
    )
    foreign = replace(launch, program=Image(reference(runtime)))
    assert runtime.prepare(foreign.program, silent).startswith("sha256:")
    lines = run(runtime, foreign)
    refusal = "mknod: /dev/x: Operation not permitted"  # on stderr, whose place among the others the engine may change
    assert refusal in lines
    assert [line for line in lines if line != refusal] == [
        "0",
        "www-data",
        "143",
        "chroot",
        "no devices",
        "NoNewPrivs:\t1",
    ]
    assert docker_client.inspect_container(launch.name)["Config"]["User"] == "0:0"


def test_a_container_that_used_up_its_memory_is_killed(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job("exec python3 -c 'x = bytearray(200 << 20)'")
    run(runtime, replace(launch, memory=32 << 20))
    assert runtime.inspect(launch.name).exit_code == 137  # type: ignore[union-attr]


def test_a_label_tells_what_it_serves(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    launch = a_server(model="churn@2")
    runtime.create([launch])
    assert runtime._engine.inspect_container(launch.name)["Config"]["Labels"]["sagespec.model"] == "churn@2"


def test_it_is_made_from_the_very_image_asked_for(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    image = str(runtime._engine.inspect_image(runtime.image_of(a_server().program))["Id"])
    launch = a_server(image=image)
    runtime.create([launch])
    details = runtime._engine.inspect_container(launch.name)
    assert details["Config"]["Image"] == details["Image"] == image


def test_the_published_port_answers_and_a_second_claim_names_it(
    runtime: DockerRuntime, a_server: Callable[..., Launch]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = a_server("exec python3 -m http.server 8080", publish=("127.0.0.1", port))
        runtime.create([gateway])
        with pytest.raises(WorldError, match=rf"port {port} on 127.0.0.1 is in use"):
            runtime.start(gateway.name)
    runtime.start(gateway.name)
    until(lambda: _answers(port))
    second = a_server(instance=1, publish=("127.0.0.1", port))
    runtime.create([second])
    with pytest.raises(WorldError, match=rf"port {port} on 127.0.0.1 is in use"):
        runtime.start(second.name)
    assert runtime.inspect(second.name).state is ContainerState.CREATED  # type: ignore[union-attr]


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(12).endswith(b"200")
    except OSError:
        return False
