"""DockerRuntime against a real engine: what the contract suite, which knows no Docker, cannot ask."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import from_env

from sagespec.errors import WorldError
from sagespec.runtimes.choose import choose
from sagespec.runtimes.docker.network import free_address, pool_of, subnet_of
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.runtimes.protocol import CannotStart
from sagespec.sources.build import BuildFolder
from sagespec.state.addresses import Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, ContainerState
from sagespec.state.programs import Build, Builtin, Image
from tests import built

pytestmark = pytest.mark.docker

PROBE = Builtin("probe")
HASH = "1-0123456789abcdef"


def silent(_line: str) -> None:
    pass


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like images/, with one program: it runs whatever the variable SCRIPT says."""
    echo = built.reference("echo")
    folder = tmp_path_factory.mktemp("images")
    _write_program(folder, "probe", f'FROM {echo}\nCOPY probe/program /bin/program\nENTRYPOINT ["/bin/program"]\n')
    (folder / "probe" / "program").write_text('#!/bin/sh\necho "asked to $*"\neval "$SCRIPT"\n')
    (folder / "probe" / "program").chmod(0o755)
    (folder / "toolkit").mkdir()
    (folder / "toolkit" / "lib.py").write_text("VALUE = 1\n")
    return folder


def _write_program(images: Path, name: str, dockerfile: str) -> None:
    (images / name).mkdir()
    (images / name / "Dockerfile").write_text(dockerfile)


@pytest.fixture
def runtime(project_name: str, images: Path) -> Iterator[DockerRuntime]:
    with DockerRuntime(project_name, images) as runtime:
        runtime.prepare(PROBE, silent)
        yield runtime


@pytest.fixture
def a_server(project_name: str) -> Callable[..., Launch]:
    """Launches of one variant's instances that run a script."""

    def launch(script: str = "exec sleep 1000", instance: int = 0, **fields: Any) -> Launch:
        address = Address("endpoint", "churn", 0, "stable", instance)
        given: dict[str, Any] = {
            "name": container_name(project_name, address, HASH),
            "address": address,
            "hash": HASH,
            "program": PROBE,
            "command": "serve",
            "environment": {"SCRIPT": script},
        }
        return Launch(**given | fields)

    return launch


@pytest.fixture
def a_job(project_name: str) -> Callable[..., list[Launch]]:
    """Launches of all hosts of one job."""

    def launch(script: str, hosts: int = 1, version: int = 1) -> list[Launch]:
        addresses = [Address("job", "churn", version, "", instance) for instance in range(hosts)]
        names = tuple(container_name(project_name, address, HASH) for address in addresses)
        return [
            Launch(
                name=name,
                address=address,
                hash=HASH,
                program=PROBE,
                command="train",
                environment={"SCRIPT": script},
                alias=f"algo-{index + 1}",
                hosts=names,
            )
            for index, (name, address) in enumerate(zip(names, addresses, strict=True))
        ]

    return launch


def reference(runtime: DockerRuntime) -> str:
    return next(image.reference for image in runtime.images() if image.name == "probe")


def run(runtime: DockerRuntime, launch: Launch) -> list[str]:
    """Create and start, wait for the end; what it printed, after the line of the probe itself."""
    runtime.create([launch])
    runtime.start(launch.name)
    return list(runtime.logs(launch.name, follow=True))[1:]


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.02)


# -- whose containers ------------------------------------------------------------------------------


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
        with pytest.raises(WorldError, match=f"not of project {project_name}"):
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


# -- how they are made -----------------------------------------------------------------------------


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
        "id -u; mkdir /run/work && chown www-data /run/work && "
        "setpriv --reuid www-data --regid www-data --clear-groups sh -c 'id -un > /run/work/who; exec sleep 100' & "
        "sleep 0.5; cat /run/work/who; kill $!; wait $! 2>/dev/null; echo $?; chroot / true && echo chroot; "
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


# -- addresses -------------------------------------------------------------------------------------


def test_addresses_outlive_stops_and_starts_in_any_order(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    launches = [a_server(instance=instance) for instance in range(4)]
    runtime.create(launches)
    before = [runtime.start(launch.name).host for launch in launches]
    for launch in launches:
        docker_client.stop(launch.name, timeout=0)
    assert [container.host for container in runtime.containers()] == before
    for launch in reversed(launches):
        docker_client.start(launch.name)
    assert [container.host for container in runtime.containers()] == before
    live = [docker_client.inspect_container(launch.name)["NetworkSettings"]["Networks"] for launch in launches]
    assert [networks[runtime.network_name]["IPAddress"] for networks in live] == before


def test_a_container_made_anew_has_its_address_again(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    launches = [a_server(instance=instance) for instance in range(3)]
    runtime.create(launches)
    before = runtime.containers()
    for launch in launches:
        runtime.remove(launch.name)
    runtime.create(list(reversed(launches)))
    assert runtime.containers() == before


def test_a_container_of_other_hands_never_gets_one_of_our_addresses(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    runtime.create([a_server()])
    (config,) = docker_client.inspect_network(runtime.network_name)["IPAM"]["Config"]
    assert config["IPRange"].partition("/")[0] == config["Subnet"].partition("/")[0]
    assert int(config["IPRange"].partition("/")[2]) == int(config["Subnet"].partition("/")[2]) + 1


def test_an_address_that_was_taken_meanwhile_is_replaced(
    runtime: DockerRuntime, a_server: Callable[..., Launch], a_job: Callable[..., list[Launch]], docker_client: Any
) -> None:
    server, jobs = a_server(), a_job("sleep 100", hosts=2)
    runtime.create([server, *jobs])
    hosts = {container.name: container.host for container in runtime.containers()}
    thieves = []
    try:
        for name in (server.name, jobs[0].name):
            endpoint = docker_client.create_endpoint_config(ipv4_address=hosts[name])
            thief = docker_client.create_container(
                reference(runtime),
                environment={"SCRIPT": "exec sleep 100"},
                host_config=docker_client.create_host_config(network_mode=runtime.network_name),
                networking_config={"EndpointsConfig": {runtime.network_name: endpoint}},
            )
            thieves.append(thief["Id"])
            docker_client.start(thief["Id"])
        moved = runtime.start(server.name)
        assert moved.host not in hosts.values()
        assert moved.state is ContainerState.RUNNING
        with pytest.raises(WorldError, match="the other hosts of its job know it by that address"):
            runtime.start(jobs[0].name)
    finally:
        for thief_id in thieves:
            docker_client.remove_container(thief_id, force=True)


def test_hosts_of_a_job_know_each_other_and_no_other_job(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    script = "hostname; for host in algo-1 algo-2 algo-3; do getent ahostsv4 $host | cut -d' ' -f1 | sort -u; done"
    first, second = a_job(script, hosts=3, version=1), a_job(script, hosts=2, version=2)
    runtime.create(first)
    runtime.create(second)
    host = {container.name: container.host for container in runtime.containers()}
    assert len(set(host.values())) == 5
    for job in (first, second):
        for launch in job:
            runtime.start(launch.name)
        for launch in job:
            said = list(runtime.logs(launch.name, follow=True))[1:]
            assert said == [launch.alias, *(host[other.name] for other in job)]


def test_hosts_of_a_job_reach_each_other_by_name(runtime: DockerRuntime, a_job: Callable[..., list[Launch]]) -> None:
    listen = (
        "import socket; server = socket.create_server(('', 7777)); server.settimeout(20); "
        "print('listening', flush=True); print(server.accept()[0].recv(9).decode())"
    )
    call = "import socket; socket.create_connection(('algo-1', 7777)).sendall(b'from two')"
    script = f'case $(hostname) in algo-1) python3 -c "{listen}";; *) python3 -c "{call}";; esac'
    one, two = a_job(script, hosts=2)
    runtime.create([one, two])
    runtime.start(one.name)
    until(lambda: "listening" in list(runtime.logs(one.name)))
    runtime.start(two.name)
    assert list(runtime.logs(one.name, follow=True))[2:] == ["from two"]


def test_a_job_whose_create_was_cut_off_is_completed_with_the_promised_address(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], a_server: Callable[..., Launch], docker_client: Any
) -> None:
    one, two = a_job("getent hosts algo-2", hosts=2)
    runtime.create([one, two])
    own = runtime.inspect(two.name).host  # type: ignore[union-attr]
    for launch in (one, two):
        runtime.remove(launch.name)
    # A container whose name leads to the same address has it first, so that algo-2 is given the next one.
    pool = pool_of(subnet_of(docker_client.inspect_network(runtime.network_name)))
    rival = next(name for name in map("rival{}".format, range(10**6)) if free_address(name, pool, set()) == own)
    runtime.create([a_server(name=rival)])
    runtime.create([one, two])
    promised = runtime.inspect(two.name).host  # type: ignore[union-attr]
    assert promised != own
    runtime.remove(rival)
    runtime.remove(two.name)
    runtime.create([one, two])
    assert runtime.inspect(two.name).host == promised  # type: ignore[union-attr]
    runtime.start(one.name)
    assert list(runtime.logs(one.name, follow=True))[1].split() == [promised, "algo-2"]


def test_creates_at_the_same_time_make_one_network_and_different_addresses(
    project_name: str, runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any, images: Path
) -> None:
    """Two runtimes stand for two processes: nothing but the engine is between them."""
    with DockerRuntime(project_name, images) as other, ThreadPoolExecutor(8) as pool:
        launches = [a_server(instance=instance) for instance in range(8)]
        both = [runtime, other]
        for done in [pool.submit(both[index % 2].create, [launch]) for index, launch in enumerate(launches)]:
            done.result()
        # The same containers by both at once.
        again = [replace(launch, name=launch.name + "x") for launch in launches[:4]]
        for done in [pool.submit(one.create, again) for one in both]:
            done.result()
    containers = runtime.containers()
    assert len(containers) == 12
    assert len({container.host for container in containers}) == 12
    networks = docker_client.networks(names=[runtime.network_name])
    assert [network["Name"] for network in networks] == [runtime.network_name]


def test_a_network_of_that_name_that_is_not_ours_is_refused(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    network = docker_client.create_network(runtime.network_name)["Id"]
    try:
        with pytest.raises(WorldError, match="taken by a network that is not of this project"):
            runtime.create([a_server()])
        runtime.destroy()
        assert docker_client.inspect_network(network)
    finally:
        docker_client.remove_network(network)


# -- end of a container ----------------------------------------------------------------------------


def test_stop_gives_the_grace_and_then_kills(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    polite = a_server("trap 'echo asked; exit 7' TERM; while :; do sleep 0.1; done")
    deaf = a_server("trap '' TERM; while :; do sleep 0.1; done", instance=1, keep_running=True)
    runtime.create([polite, deaf])
    for launch in (polite, deaf):
        runtime.start(launch.name)
        until(lambda launch=launch: list(runtime.logs(launch.name)))  # type: ignore[misc]
    time.sleep(0.2)  # for the trap, which says nothing
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
        _write_program(images, "volume", f"FROM {reference(runtime)}\nVOLUME /opt/ml /scratch\n")
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


# -- files -----------------------------------------------------------------------------------------


def test_put_follows_links_and_keeps_what_may_be_executed(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o700)
    (source / "secret").write_text("s")
    (source / "secret").chmod(0o600)
    (tmp_path / "outside").write_text("linked")
    (source / "deep" / "link").symlink_to(tmp_path / "outside")
    (source / ("ü" * 60)).write_text("named")
    (launch,) = a_job("cd /opt/ml/input/data/train; find . -mindepth 1 -printf '%y %m %U %P\\n' | sort")
    runtime.create([launch])
    runtime.put(launch.name, "input/data/train", source)
    runtime.start(launch.name)
    assert list(runtime.logs(launch.name, follow=True))[1:] == [
        "d 755 0 deep",
        "d 755 0 deep/empty",
        "f 644 0 deep/link",
        "f 644 0 secret",
        f"f 644 0 {'ü' * 60}",
        "f 755 0 run",
    ]
    assert runtime.read(launch.name, "input/data/train/deep/link") == b"linked"


def test_put_says_which_file_could_not_be_read(
    runtime: DockerRuntime, a_server: Callable[..., Launch], tmp_path: Path
) -> None:
    runtime.create([a_server()])
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "again").symlink_to(tmp_path / "loop")
    with pytest.raises(WorldError, match="dangling could not be read: No such file"):
        runtime.put(a_server().name, "model", tmp_path / "dangling")
    with pytest.raises(WorldError, match="again is a link to a folder that it is in"):
        runtime.put(a_server().name, "model", tmp_path / "loop")
    assert runtime.inspect(a_server().name)


def test_large_files_pass_through_without_being_held(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], tmp_path: Path
) -> None:
    size = 200 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
        file.write(b"begin")
        file.seek(size - 3)
        file.write(b"end")
    (launch,) = a_job("true")
    runtime.create([launch])
    tracemalloc.start()
    runtime.put(launch.name, "model/large", tmp_path / "large")
    received = sum(len(piece) for piece in runtime.get(launch.name, "model"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received > size
    assert peak < 20 << 20


def test_get_is_relative_to_the_folder_whatever_the_names(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    long = "n" * 120
    (launch,) = a_job(
        f"mkdir -p /data/real/sub; cd /data/real; echo one > sub/{long}; ln sub/{long} hard; ln -s sub/{long} soft; "
        "mkdir -p /opt/ml; ln -s /data/real /opt/ml/model"
    )
    run(runtime, launch)
    with tarfile.open(fileobj=io.BytesIO(b"".join(runtime.get(launch.name, "model")))) as archive:
        names = sorted(archive.getnames())
        assert names == ["hard", "soft", "sub", f"sub/{long}"]
        assert {archive.extractfile(name).read() for name in ("hard", f"sub/{long}")} == {b"one\n"}  # type: ignore[union-attr]
        assert archive.getmember("soft").linkname == f"sub/{long}"


def test_get_of_nothing_is_an_empty_tar(runtime: DockerRuntime, a_job: Callable[..., list[Launch]]) -> None:
    (launch,) = a_job("true")
    runtime.create([launch])
    with tarfile.open(fileobj=io.BytesIO(b"".join(runtime.get(launch.name, "model")))) as archive:
        assert archive.getnames() == []


def test_read_gives_a_file_in_any_state_and_none_where_there_is_none(
    runtime: DockerRuntime, a_server: Callable[..., Launch]
) -> None:
    launch = a_server("ln -s /opt/ml/output/failure /opt/ml/output/link; exec sleep 100")
    runtime.create([launch])
    runtime.write(launch.name, {"output/failure": b"why\x00"})
    assert runtime.read(launch.name, "output/failure") == b"why\x00"
    runtime.start(launch.name)
    until(lambda: runtime.read(launch.name, "output/link") == b"why\x00")
    runtime.stop(launch.name, grace_seconds=0)
    assert runtime.read(launch.name, "output/failure") == b"why\x00"
    assert runtime.read(launch.name, "output/success") is None
    assert runtime.read(launch.name, "output") is None


WATCH = """
import ctypes, os, struct
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
os.makedirs("/opt/ml/xds")
libc.inotify_add_watch(watch, b"/opt/ml/xds", 0x80)  # IN_MOVED_TO, the event that Envoy waits for
print("watching", flush=True)
while True:
    data = os.read(watch, 4096)
    while data:
        (size,) = struct.unpack_from("I", data, 12)
        name = data[16 : 16 + size].rstrip(b"\\0").decode()
        print(name, open("/opt/ml/xds/" + name).read(), flush=True)
        data = data[16 + size :]
"""


def test_write_in_a_running_container_moves_whole_files_into_place_in_order(
    runtime: DockerRuntime, a_server: Callable[..., Launch], docker_client: Any
) -> None:
    launch = a_server(environment={"SCRIPT": 'exec python3 -c "$WATCH"', "WATCH": WATCH})
    runtime.create([launch])
    runtime.start(launch.name)
    until(lambda: "watching" in list(runtime.logs(launch.name)))
    runtime.write(launch.name, {"xds/b.json": b"1", "xds/a.json": b"2"})
    runtime.write(launch.name, {"xds/b.json": b"3"})
    until(lambda: len(list(runtime.logs(launch.name))) == 5)
    assert list(runtime.logs(launch.name))[2:] == ["b.json 1", "a.json 2", "b.json 3"]
    inside = docker_client.exec_create(launch.name, ["ls", "-A", "/opt/ml/xds"])["Id"]
    assert docker_client.exec_start(inside) == b"a.json\nb.json\n"


# -- logs ------------------------------------------------------------------------------------------


def test_lines_of_both_streams_are_whole_and_in_order(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job(
        "printf '\\377 bad\\n'; printf 'dos\\r\\n'; echo; "
        "printf 'ab'; sleep 0.2; echo between >&2; sleep 0.2; echo c; "
        "python3 -c \"print('x' * 100000)\"; printf 'no newline'"
    )
    assert run(runtime, launch) == [
        "\ufffd bad",
        "dos",
        "",
        "between",
        "abc",
        "x" * 100_000,
        "no newline",
    ]
    assert list(runtime.logs(launch.name, tail=1)) == ["no newline"]
    assert list(runtime.logs(launch.name, tail=0)) == []
    assert list(runtime.logs("sagespec_none", follow=True)) == []


def test_followed_lines_come_while_the_container_runs(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job("echo first; while [ ! -e /opt/ml/go ]; do sleep 0.05; done; echo last")
    runtime.create([launch])
    runtime.start(launch.name)
    lines = runtime.logs(launch.name, follow=True)
    assert [next(lines), next(lines)] == ["asked to train", "first"]
    runtime.write(launch.name, {"go": b""})
    assert list(lines) == ["last"]


# -- requests --------------------------------------------------------------------------------------

SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/chunked":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            self.wfile.write(b"3\\r\\nabc\\r\\n2\\r\\nde\\r\\n0\\r\\n\\r\\n"); return
        body = bytes(range(256)) * 1000 if self.path == "/bytes" else self.command.encode()
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", 9901), Handler).serve_forever()
"""


def test_fetch_brings_every_body_back_byte_by_byte(runtime: DockerRuntime, a_server: Callable[..., Launch]) -> None:
    launch = a_server(environment={"SCRIPT": 'exec python3 -c "$SERVER"', "SERVER": SERVER})
    runtime.create([launch])
    with pytest.raises(WorldError, match="is not running"):
        runtime.fetch(launch.name, 9901, ["/"])
    runtime.start(launch.name)
    until(lambda: _fetches(runtime, launch.name))
    assert runtime.fetch(launch.name, 9901, ["/bytes", "/chunked", "/"]) == [bytes(range(256)) * 1000, b"abcde", b"GET"]
    assert runtime.fetch(launch.name, 9901, ["/"], post=True) == [b"POST"]
    assert runtime.fetch(launch.name, 9901, []) == []
    with pytest.raises(WorldError, match=r"answered /none with 404: GET"):
        runtime.fetch(launch.name, 9901, ["/", "/none"])
    with pytest.raises(WorldError, match=r"does not answer on port 9902: /: .*Connection refused"):
        runtime.fetch(launch.name, 9902, ["/"])


def _fetches(runtime: DockerRuntime, name: str) -> bool:
    try:
        return bool(runtime.fetch(name, 9901, ["/"]))
    except WorldError:
        return False


# -- events ----------------------------------------------------------------------------------------


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


# -- images ----------------------------------------------------------------------------------------


def test_a_builtin_is_known_by_its_content_alone(images: Path, tmp_path: Path, project_name: str) -> None:
    folder = tmp_path / "images"
    for name in ("toolkit", "probe"):
        (folder / name).mkdir(parents=True)
        for file in (images / name).iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
    with DockerRuntime(project_name, images) as one, DockerRuntime(project_name, folder) as copy:
        assert reference(copy) == reference(one)
        (folder / "probe" / "__pycache__").mkdir()
        (folder / "probe" / "__pycache__" / "x.pyc").write_bytes(b"x")
        assert reference(copy) == reference(one)
        (folder / "toolkit" / "lib.py").write_text("VALUE = 2\n")
        assert reference(copy) != reference(one)


def test_builtins_without_a_dockerfile_are_built_from_the_shared_one(
    runtime: DockerRuntime, tmp_path: Path, project_name: str
) -> None:
    folder = tmp_path / "images"
    names = [f"{word}-{project_name}" for word in ("one", "two")]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "image.json").write_text('{"kind": "test"}')
    (folder / "Dockerfile").write_text(f"FROM {reference(runtime)}\nRUN echo shared\nARG NAME\nCOPY $NAME/ /program/\n")
    with DockerRuntime(project_name, folder) as shared:
        for name in names:
            shared.prepare(Builtin(name), silent)
        built = [info.reference for info in shared.images() if info.digest]
        assert [tag.split(":")[0] for tag in built] == [f"sagespec/{name}" for name in names]
        one, two = ([*shared._engine.inspect_image(tag)["RootFS"]["Layers"]] for tag in built)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        rebuilt = [info.reference for info in shared.images()]
        for name in built:
            shared._engine.remove_image(name, force=True)
    assert (one[:-1], one[-1] == two[-1]) == (two[:-1], False), "all layers but the last are shared"
    assert not {*rebuilt} & {*built}, "an image is known by the Dockerfile it is built from"


def test_a_build_that_fails_shows_how_it_ended(runtime: DockerRuntime, images: Path) -> None:
    _write_program(images, "broken", f"FROM {reference(runtime)}\nRUN echo the reason && exit 9\n")
    lines: list[str] = []
    try:
        with pytest.raises(WorldError, match=r"sagespec/broken:.* could not be built") as failed:
            runtime.prepare(Builtin("broken"), lines.append)
    finally:
        (images / "broken" / "Dockerfile").unlink()
    assert "the reason" in lines
    assert "       the reason\n" in str(failed.value)


@pytest.fixture
def a_folder(runtime: DockerRuntime, tmp_path: Path, project_name: str) -> Iterator[Path]:
    """A folder to build, with a link and an argument; its images, which are its alone, are removed afterwards."""
    folder = tmp_path / f"My {project_name}"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text(
        f'FROM {reference(runtime)}\nARG SAID=nothing\nRUN echo "said $SAID"\nCOPY . /ctx/\nENTRYPOINT ["sh", "-c"]\n'
    )
    (folder / "sub/run.sh").write_text("cd /ctx; find . | sort; readlink link; test -x sub/run.sh && echo may run\n")
    (folder / "sub/run.sh").chmod(0o755)
    (folder / "link").symlink_to("sub/run.sh")
    (folder / "secret").write_text("x")
    (folder / ".dockerignore").write_text("secret\n")
    yield folder
    for image in runtime._engine.images(filters={"label": "sagespec.build"}):
        if any(tag.startswith(f"sagespec-build/my-{project_name}:") for tag in image["RepoTags"] or ()):
            runtime._engine.remove_image(image["Id"], force=True)


def a_build(folder: Path, dockerfile: str = "Dockerfile", args: tuple[tuple[str, str], ...] = ()) -> Build:
    context = BuildFolder(folder, dockerfile, dict(args)).hash()
    return Build(str(folder), context, dockerfile, args)


def test_a_folder_is_built_from_what_dockerignore_leaves(
    runtime: DockerRuntime, a_folder: Path, a_job: Callable[..., list[Launch]], project_name: str
) -> None:
    program = a_build(a_folder, args=(("SAID", "hello"),))
    lines: list[str] = []
    digest = runtime.prepare(program, lines.append)
    assert digest.startswith("sha256:")
    assert f"building sagespec-build/my-{project_name}:{program.context}" in lines
    assert "said hello" in lines
    launch = replace(a_job("")[0], program=program, arguments=("sh /ctx/link",))
    run(runtime, launch)
    assert list(runtime.logs(launch.name)) == [
        *(".", "./.dockerignore", "./Dockerfile", "./link", "./sub", "./sub/run.sh"),
        "sub/run.sh",
        "may run",
    ]
    assert runtime.prepare(program, pytest.fail) == digest  # there: nothing is built, nothing is said


def test_a_folder_is_built_by_a_dockerfile_from_elsewhere(
    runtime: DockerRuntime, a_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text(f"FROM {reference(runtime)}\nCOPY sub /sub\nRUN echo from elsewhere\n")
    lines: list[str] = []
    runtime.prepare(a_build(a_folder, "../other"), lines.append)
    assert "from elsewhere" in lines


def test_a_changed_folder_whose_image_is_gone_is_not_built_as_something_else(
    runtime: DockerRuntime, a_folder: Path
) -> None:
    program = a_build(a_folder)
    (a_folder / "sub/run.sh").write_text("exit 1\n")
    with pytest.raises(WorldError, match="the folder has changed since") as gone:
        runtime.prepare(program, silent)
    assert "raise the job's version" in gone.value.problems[0].fix


def test_a_folder_that_cannot_be_built_shows_how_it_ended(runtime: DockerRuntime, a_folder: Path) -> None:
    (a_folder / "Dockerfile").write_text(f"FROM {reference(runtime)}\nRUN echo the reason && exit 9\n")
    with pytest.raises(WorldError, match=r"sagespec-build/my-.* could not be built") as failed:
        runtime.prepare(a_build(a_folder), silent)
    assert "       the reason\n" in str(failed.value)
    (a_folder / "Dockerfile").unlink()
    with pytest.raises(WorldError, match="Dockerfile"):
        runtime.prepare(a_build(a_folder), silent)


def test_an_image_that_is_nowhere_says_what_to_do(runtime: DockerRuntime) -> None:
    with pytest.raises(
        WorldError, match=r"127.0.0.1:1/nowhere is not on the engine and could not be pulled"
    ) as missing:
        runtime.prepare(Image("127.0.0.1:1/nowhere"), silent)
    assert "docker login" in missing.value.problems[0].fix
    with pytest.raises(WorldError, match="no built-in program 'nope'"):
        runtime.prepare(Builtin("nope"), silent)


def test_images_tells_which_builtins_are_there(runtime: DockerRuntime) -> None:
    found = {image.name: image for image in runtime.images()}
    assert found["probe"].reference == reference(runtime)
    assert found["probe"].digest == runtime.prepare(PROBE, silent)
    assert found["probe"].size > 0


def test_an_image_without_the_word_says_what_is_missing(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]]
) -> None:
    (launch,) = a_job("")
    wordless = replace(launch, program=Image("debian:bookworm-slim"))
    runtime.create([wordless])
    with pytest.raises(CannotStart, match="train") as refused:
        runtime.start(wordless.name)
    assert "ENTRYPOINT" in refused.value.problems[0].fix


# -- the engine ------------------------------------------------------------------------------------


def test_doctor_sees_the_engine(runtime: DockerRuntime) -> None:
    checks = {check.name: check for check in runtime.checks()}
    assert checks["docker engine"].ok
    assert "API" in checks["docker engine"].detail


def test_auto_takes_docker_and_says_where(project_name: str, tmp_path: Path) -> None:
    chosen, said = choose("auto", project_name, tmp_path)
    with chosen:
        assert (chosen.name, said.startswith("runtime docker: the engine at ")) == ("docker", True)


class Proxy:
    """A TCP port in front of the engine's socket: a remote engine, as far as a client can tell."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._target)
            back = threading.Thread(target=self._pump, args=(engine, client), daemon=True)
            back.start()
            self._pump(client, engine)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.requests += data.partition(b" ")[0] in (b"GET", b"POST", b"PUT", b"DELETE")
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    socket_path = Path("/var/run/docker.sock")
    if os.environ.get("DOCKER_HOST") or not socket_path.is_socket():
        pytest.skip("the engine does not listen on /var/run/docker.sock")
    proxy = Proxy(str(socket_path))
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.close()


def test_a_remote_engine_does_all_of_it_and_lists_in_one_request(
    remote: Proxy,
    project_name: str,
    images: Path,
    a_job: Callable[..., list[Launch]],
    docker_client: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "train.csv").write_bytes(b"1,2\n" * 1_000_000)
    (launch,) = a_job("mkdir -p /opt/ml/model; cp /opt/ml/input/data/train/train.csv /opt/ml/model; echo done")
    with DockerRuntime(project_name, images) as runtime:
        assert "tcp://127.0.0.1" in runtime.engine
        runtime.prepare(PROBE, silent)
        runtime.create([launch])
        details = docker_client.inspect_container(launch.name)
        assert (details["HostConfig"]["Binds"], details["Mounts"]) == (None, [])
        seen: list[str] = []
        with runtime.events() as events:
            reader = threading.Thread(target=lambda: seen.extend(events))
            reader.start()
            runtime.put(launch.name, "input/data/train", tmp_path)
            runtime.start(launch.name)
            assert list(runtime.logs(launch.name, follow=True)) == ["asked to train", "done"]
            until(lambda: len(seen) == 2)
        reader.join(5)
        assert not reader.is_alive()
        with tarfile.open(fileobj=io.BytesIO(b"".join(runtime.get(launch.name, "model")))) as archive:
            assert archive.extractfile("train.csv").read() == b"1,2\n" * 1_000_000  # type: ignore[union-attr]
        before = remote.requests
        assert len(runtime.containers()) == 1
        assert remote.requests == before + 1
        runtime.remove(launch.name)
        runtime.destroy()


def test_a_remote_engine_builds_a_folder_of_this_machine(
    a_folder: Path, remote: Proxy, project_name: str, images: Path
) -> None:
    with DockerRuntime(project_name, images) as runtime:
        assert "tcp://127.0.0.1" in runtime.engine
        assert runtime.prepare(a_build(a_folder), silent).startswith("sha256:")
    assert remote.requests


def test_an_engine_that_does_not_answer_is_told_from_one_that_refuses(
    monkeypatch: pytest.MonkeyPatch, project_name: str, tmp_path: Path
) -> None:
    with monkeypatch.context() as here:
        here.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        reason = DockerRuntime.answers()
        assert reason == f"no Docker engine answers at unix://{tmp_path}/none.sock: No such file or directory"
        for wanted in ("auto", "docker"):  # who sets DOCKER_HOST means Docker
            with pytest.raises(WorldError, match="no Docker engine answers"):
                choose(wanted, project_name, tmp_path)


# -- mounts ----------------------------------------------------------------------------------------


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
