"""The project's network on a real engine, and the address in it that each container keeps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.docker.network import free_address, pool_of, subnet_of
from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from sagespec.state.observed import ContainerState
from tests.runtimes.docker.probe import reference, until

pytestmark = pytest.mark.docker


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


CALLS = """
import socket, sys, time
server = socket.create_server(("", 7777))
def reaches(name, port, tries=1):
    for _ in range(tries):
        try:
            return bool(socket.create_connection((name, port), 2))
        except OSError:
            time.sleep(0.1)
    return False
other, *hosts = sys.argv[1:]
print("other", reaches(other, 8080), "hosts", *[reaches(host, 7777, tries=100) for host in hosts], flush=True)
time.sleep(3)
"""


@pytest.mark.parametrize("count", [1, 2])
def test_hosts_of_an_isolated_job_reach_each_other_and_nothing_else(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], a_server: Callable[..., Launch], count: int
) -> None:
    server = a_server("exec python3 -m http.server 8080")
    runtime.create([server])
    address = runtime.start(server.name).host
    hosts = " ".join(f"algo-{number + 1}" for number in range(count))
    script = f"python3 - {address} {hosts} <<'END'\n{CALLS}END\n"
    as_ever = a_job(script, hosts=count, version=2)
    isolated = [replace(launch, isolated=True) for launch in a_job(script, hosts=count)]
    for job, reached in ((as_ever, True), (isolated, False)):
        runtime.create(job)
        for launch in job:
            runtime.start(launch.name)
        for launch in job:
            said = list(runtime.logs(launch.name, follow=True))[-1]
            assert said == f"other {reached} hosts {' '.join(['True'] * count)}"
    for launch in isolated:
        runtime.remove(launch.name)
    assert runtime._engine.networks(names=[f"{isolated[0].name}_hosts"]) == []


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
        with pytest.raises(WorldError, match="taken by a network outside this project"):
            runtime.create([a_server()])
        runtime.destroy()
        assert docker_client.inspect_network(network)
    finally:
        docker_client.remove_network(network)
