"""Nodes that are lost, and engines that are killed: what is said of the containers there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile

import pytest
from docker.errors import APIError

from sagespec.errors import WorldError
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.swarm.runtime import SwarmRuntime
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Builtin
from tests import built
from tests.contracts.bench import wait_for
from tests.swarm.busy import fill, node_of
from tests.swarm.cluster import Cluster
from tests.swarm.node import Node

pytestmark = [pytest.mark.swarm, pytest.mark.slow(60)]
ENDS_WELL_ON_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("begun")
while True:
    time.sleep(0.05)
"""
COUNTS = """
import itertools, os, time
for number in itertools.takewhile(lambda _: not os.path.exists("/opt/ml/go"), itertools.count()):
    print(number)
    time.sleep(0.5)
print("go")
print("it still runs")
time.sleep(600)
"""


@pytest.fixture
def runtime(request: pytest.FixtureRequest, project_name: str) -> Iterator[SwarmRuntime]:
    with opened_on(request, "cluster", project_name) as runtime:
        yield runtime


@contextmanager
def opened_on(request: pytest.FixtureRequest, cluster_name: str, project_name: str) -> Iterator[SwarmRuntime]:
    references = built.reference("courier"), built.reference("echo")  # on the engine of this machine
    cluster: Cluster = request.getfixturevalue(cluster_name)
    cluster.load(*references)
    with SwarmRuntime(project_name, images_dir(), registry=f"{cluster.registry}/swarm") as runtime:
        runtime.prepare(Builtin("echo"), lambda _: None)
        yield runtime


@pytest.fixture
def job(project_name: str) -> Launch:
    address = Address("job", "churn", 1, instance=0)
    return Launch(
        name=container_name(project_name, address, "1-abc"),
        address=address,
        hash="1-abc",
        program=Builtin("echo"),
        command="train",
        cpus=0.5,
        entrypoint=("python3", "-u", "-c"),
        arguments=(ENDS_WELL_ON_SIGTERM,),
    )


def started_on_a_worker(runtime: SwarmRuntime, cluster: Cluster, job: Launch) -> Node:
    """The node that it runs on; the manager is full."""
    fill(cluster, cluster.manager, runtime.reference_of(job.program))
    runtime.create([job])
    runtime.start(job.name)
    return wait_for(lambda: node_of(cluster, f"sagespec.container={job.name}"))


def test_an_end_with_its_engine_is_not_the_programs(runtime: SwarmRuntime, cluster: Cluster, job: Launch) -> None:
    """It leaves with 0 on the SIGTERM that an engine sends to what it finds when it starts."""
    node = started_on_a_worker(runtime, cluster, job)
    assert next(runtime.logs(job.name, follow=True)) == "begun"
    node.kill()
    node.start()
    ended = wait_for(lambda: _ended(runtime, job.name))
    assert ended.exit_code is None
    assert runtime.end_seen(job.name) == "unsure"
    runtime.remove(job.name)
    assert runtime.containers() == ()


def test_a_container_on_a_lost_node_has_ended(runtime: SwarmRuntime, cluster: Cluster, job: Launch) -> None:
    node = started_on_a_worker(runtime, cluster, job)
    lines = runtime.logs(job.name, follow=True)
    assert next(lines) == "begun"
    cluster.cut(node)
    ended = wait_for(lambda: _ended(runtime, job.name))
    assert ended.exit_code is None
    assert runtime.end_seen(job.name) == "unsure"
    assert list(lines) == [], "a log that nobody can give ends"
    with pytest.raises(WorldError, match="its node does not answer"):
        list(runtime.logs(job.name))
    runtime.remove(job.name)
    assert runtime.inspect(job.name) is None
    runtime.create([job])
    assert runtime.start(job.name).state is ContainerState.RUNNING, "on another node"


def test_a_gateway_is_left_to_the_engine_of_its_node_until_that_is_lost(
    request: pytest.FixtureRequest, job: Launch, project_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_on(request, "own_cluster", project_name) as runtime:
        its_node_is_lost(runtime, request.getfixturevalue("own_cluster"), job, project_name, monkeypatch)


def its_node_is_lost(
    runtime: SwarmRuntime, cluster: Cluster, job: Launch, project_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = cluster.nodes[1]
    cluster.promote(*cluster.nodes[1:])
    gateway = replace(
        job,
        name=container_name(project_name, GATEWAY, "1-abc"),
        address=GATEWAY,
        keep_running=True,
        publish=(there.address, 8080),
    )
    runtime.prepare(Builtin("courier"), lambda _: None)
    monkeypatch.setenv("DOCKER_HOST", there.docker_host)
    with SwarmRuntime(project_name, images_dir(), registry=f"{cluster.registry}/swarm") as other:
        other.create([gateway])
        other.write(gateway.name, {"routes": b"1"})
        assert other.start(gateway.name).state is ContainerState.RUNNING
    with pytest.raises(WorldError, match=f"is on the node {there.name}"):
        runtime.read(gateway.name, "routes")
    with pytest.raises(WorldError, match=f"is on the node {there.name}") as refused:
        runtime.write(gateway.name, {"routes": b"2"})
    assert "DOCKER_HOST" in refused.value.problems[0].fix
    cluster.cut(there)
    wait_for(lambda: _ended(runtime, gateway.name))
    assert runtime.read(gateway.name, "routes") is None
    assert not cluster.manager.engine.containers(all=True, filters={"label": f"sagespec.staging={project_name}"})
    runtime.remove(gateway.name)
    runtime.create([gateway])
    runtime.write(gateway.name, {"routes": b"3"})
    assert runtime.start(gateway.name).node == cluster.manager.name
    assert runtime.read(gateway.name, "routes") == b"3"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the SDK's sockets to what is away
def test_a_followed_log_goes_on_when_its_manager_was_started_again(
    runtime: SwarmRuntime, cluster: Cluster, job: Launch
) -> None:
    """It was silent until the end of the job; now nothing is missing, and nothing comes twice."""
    job = replace(job, arguments=(COUNTS,))
    started_on_a_worker(runtime, cluster, job)
    lines = runtime.logs(job.name, follow=True)
    assert [next(lines), next(lines)] == ["0", "1"]
    cluster.manager.kill()
    cluster.manager.start()
    cluster.manager.wait_until_it_answers()
    runtime.write(job.name, {"go": b""})
    counted = list(takewhile(lambda line: line != "go", lines))
    assert counted == [str(number) for number in range(2, len(counted) + 2)]
    assert next(lines) == "it still runs"


def test_other_managers_are_asked_when_the_own_has_no_leader(own_cluster: Cluster, project_name: str) -> None:
    own_cluster.promote(*own_cluster.nodes[1:])
    others = [node.docker_host for node in own_cluster.nodes[1:]]
    with SwarmRuntime(project_name, images_dir(), registry=f"{own_cluster.registry}/swarm", managers=others) as runtime:
        assert runtime.containers() == ()
        own_cluster.cut(own_cluster.manager)
        wait_for(lambda: _says_that_nobody_leads(own_cluster.manager))
        assert runtime.containers() == ()
        with SwarmRuntime(
            project_name, images_dir(), registry=f"{own_cluster.registry}/swarm", managers=others
        ) as later:
            assert later.where == runtime.where, "though its own engine does not know of which Swarm it is"


def _says_that_nobody_leads(node: Node) -> bool | None:
    try:
        node.engine.nodes()
    except APIError as error:
        return "does not have a leader" in str(error.explanation) or None
    return None


def _ended(runtime: SwarmRuntime, name: str) -> Container | None:
    found = runtime.inspect(name)
    return found if found and found.state is ContainerState.EXITED else None
