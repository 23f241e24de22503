"""The ports of local processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from subprocess import PIPE

import pytest

from sagespec.errors import WorldError
from sagespec.ports import Claims
from sagespec.runtimes.process.ports import PORTS, choose_port
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import ContainerState
from tests.ports import free_port
from tests.runtimes.process.probe import (
    a_launch,
    ended,
    environment,
    run,
)


def test_each_container_has_a_port_of_its_own_for_life(runtime: ProcessRuntime) -> None:
    runtime.create([a_launch(f"job{number}") for number in range(20)])
    ports = {c.name: c.port for c in runtime.containers()}
    assert len(set(ports.values())) == 20
    assert set(ports.values()) <= set(PORTS)
    run(runtime, "pass", "job3")
    ended(runtime, "job3")
    assert {c.name: c.port for c in runtime.containers()} == ports


def test_the_hosts_of_a_job_share_a_port_however_they_are_created(runtime: ProcessRuntime) -> None:
    hosts = ("host-a", "host-b", "host-c")
    seen = [environment(runtime, name, hosts=hosts) for name in ("host-b", "host-a", "host-c")]
    other = environment(runtime, "other", hosts=("other",))
    assert len({host["SM_MASTER_PORT"] for host in seen}) == 1
    assert {host["SM_MASTER_ADDR"] for host in seen} == {"127.0.0.1"}
    assert {host["SM_NETWORK_INTERFACE_NAME"] for host in seen} <= {"lo", "lo0"}
    of_the_job = range(int(seen[0]["SM_MASTER_PORT"]), int(seen[0]["SM_MASTER_PORT"]) + len(hosts))
    assert int(other["SM_MASTER_PORT"]) not in of_the_job
    kept = {container.port for container in runtime.containers()}
    assert not kept & set(of_the_job), "a port for each host is kept free, from the master's on"


def test_the_gateway_listens_where_it_is_published(runtime: ProcessRuntime) -> None:
    port = free_port()
    seen = environment(runtime, "gate", address=GATEWAY, publish=("0.0.0.0", port), command="serve")
    container = runtime.inspect("gate")
    assert container is not None
    assert (seen["SAGEMAKER_BIND_TO_HOST"], seen["SAGEMAKER_BIND_TO_PORT"]) == ("0.0.0.0", str(port))
    assert (container.host, container.port) == ("127.0.0.1", port)


def test_a_taken_port_is_told_before_the_start(runtime: ProcessRuntime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        runtime.create([a_launch("gate", address=GATEWAY, publish=("127.0.0.1", port), command="serve")])
        with pytest.raises(WorldError, match=f"port {port} on 127.0.0.1 is in use"):
            runtime.start("gate")
    container = runtime.inspect("gate")
    assert container is not None
    assert container.state is ContainerState.CREATED


CHOOSES = "from sagespec.runtimes.process.ports import choose_port; print(choose_port('a', set()), flush=True); input()"


def test_a_port_that_another_process_has_chosen_is_free_again_when_that_has_ended() -> None:
    """Two projects could choose one port before the first one's program listened there, and see each other's models."""
    with subprocess.Popen([sys.executable, "-c", CHOOSES], stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        chosen = int(other.stdout.readline())
        assert choose_port("a", set(), claims=Claims()) != chosen
        other.kill()
    assert choose_port("a", set(), claims=Claims()) == chosen


def test_a_wish_that_is_had_again_gives_the_same_port_and_another_one_does_not() -> None:
    claims = Claims(most=1)
    first = choose_port("b", set(), claims=claims)
    assert choose_port("b", set(), claims=claims) == first
    assert not claims.claim(first, "c")
    assert choose_port("b", {first}, claims=claims) != first
    assert claims.claim(first, "c"), "of many the oldest is let go"
