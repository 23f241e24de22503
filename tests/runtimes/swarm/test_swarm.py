"""What only a Swarm does: many containers in two lists, what serves anywhere, what nobody may reach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.protocol import CannotStart, PortTaken
from sagespec.runtimes.swarm.couriers import name_of as courier_of
from sagespec.runtimes.swarm.leavings import Leavings
from sagespec.runtimes.swarm.names import LABEL_CONTAINER, service_name
from sagespec.runtimes.swarm.runtime import SwarmRuntime
from sagespec.runtimes.swarm.services import Place, service_of
from sagespec.runtimes.swarm.staging import LABEL_STAGING
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.labels import LABEL_PROJECT, container_name
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import Container, ContainerState
from sagespec.state.programs import Builtin
from tests import built
from tests.contracts.bench import SLEEP, wait_for
from tests.swarm.cluster import Cluster

pytestmark = pytest.mark.swarm
MANY = 200


@pytest.fixture
def runtime(request: pytest.FixtureRequest, project_name: str) -> Iterator[SwarmRuntime]:
    references = built.reference("courier"), built.reference("echo")  # on the engine of this machine
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.load(*references)
    with SwarmRuntime(project_name, images_dir(), registry=f"{cluster.registry}/swarm") as runtime:
        yield runtime


def instance(project_name: str, number: int = 0, script: str = "") -> Launch:
    address = Address("endpoint", "churn", variant="a", instance=number)
    return Launch(
        name=container_name(project_name, address, "1-abc"),
        address=address,
        hash="1-abc",
        program=Builtin("echo"),
        command="serve",
        keep_running=True,
        grace_seconds=1.0,
        entrypoint=("python3", "-u", "-c"),
        arguments=(script,),
    )


def test_two_lists_tell_of_two_hundred_containers(runtime: SwarmRuntime, cluster: Cluster, project_name: str) -> None:
    for number in range(MANY):
        launch = instance(project_name, number)
        name = service_name(project_name, launch.name)
        spec = service_of(
            launch,
            Place(),
            project_name=project_name,
            name=name,
            image="none:1",
            made_from="none:1",
            marks={},
            variables={},
        )
        cluster.manager.engine.post(f"{cluster.manager.engine.base_url}/v1.41/services/create", json=spec)
    began, before = time.monotonic(), sum(runtime.calls.values())
    containers = runtime.containers()
    took, calls = time.monotonic() - began, sum(runtime.calls.values()) - before
    assert len(containers) == MANY
    assert {container.state for container in containers} == {ContainerState.CREATED}
    assert calls == 2
    assert took < 5.0, took  # of which benchmarks/swarm.py shows the figure on a calm machine


def test_the_capacity_is_that_of_the_nodes_that_take_work_now(runtime: SwarmRuntime, cluster: Cluster) -> None:
    names = [node.name for node in cluster.nodes]
    wait_for(lambda: [node.name for node in runtime.capacity().nodes] == names or None)
    cluster.drain(cluster.nodes[2])
    wait_for(lambda: [node.name for node in runtime.capacity().nodes] == names[:2] or None)


def test_what_serves_has_its_model_at_each_start(runtime: SwarmRuntime, project_name: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("as trained")
    (tmp_path / "extra").write_text("put")
    volume = f"sagespec_{project_name}_m"
    script = """
import pathlib, sys, time
base = pathlib.Path("/opt/ml")
print((base / "model/weights").read_text(), (base / "extra").read_text())
(base / "model/weights").write_text("its own")
time.sleep(1)
sys.exit(3)
"""
    launch = replace(instance(project_name, script=script), mounts=(Mount("model", volume=volume),))
    runtime.prepare(launch.program, lambda _: None)
    runtime.volumes.fill(volume, tmp_path / "model")
    runtime.create([launch])
    runtime.put(launch.name, "extra", tmp_path / "extra")
    runtime.start(launch.name)
    assert not runtime.volumes.has(volume), "it is a layer of the image now"
    wait_for(lambda: (found := runtime.inspect(launch.name)) and (found.restarts >= 1 or None))
    container = wait_for(lambda: _in_state(runtime, launch.name, ContainerState.RUNNING))
    assert container.node in [node.name for node in runtime.capacity().nodes]
    assert container.last_exit
    assert container.last_exit.code == 3
    runtime.stop(launch.name, grace_seconds=1)
    assert set(runtime.logs(launch.name)) == {"as trained put"}
    with pytest.raises(WorldError, match="part of its image"):
        runtime.put(launch.name, "extra", tmp_path / "extra")
    runtime.remove(launch.name)
    assert runtime.containers() == ()


def test_what_was_destroyed_can_be_made_again_at_once(runtime: SwarmRuntime, project_name: str) -> None:
    """A network that is on its way out still seems to be there."""
    address = Address("job", "churn", 1, instance=0)
    serving, name = instance(project_name), container_name(project_name, address, "1-abc")
    job = replace(serving, name=name, address=address, keep_running=False)
    runtime.prepare(job.program, lambda _: None)
    for _ in range(2):
        runtime.create([serving, job])
        for launch in (serving, job):
            assert runtime.inspect(launch.name)
            runtime.remove(launch.name)
        runtime.destroy()


def test_what_killed_runs_have_left_is_removed_once_it_is_nobody_elses(
    runtime: SwarmRuntime, cluster: Cluster, project_name: str
) -> None:
    address = Address("job", "churn", 1, instance=0)
    serving, name = instance(project_name), container_name(project_name, address, "1-abc")
    job = replace(serving, name=name, address=address, keep_running=False, cpus=0.1)
    runtime.prepare(job.program, lambda _: None)
    runtime.create([serving, job])
    engine, label = cluster.manager.engine, {"label": f"{LABEL_PROJECT}={project_name}"}
    secrets, staging = runtime._secrets, {"label": f"{LABEL_STAGING}={project_name}"}
    for launch in (serving, job):
        secrets.keep(launch.name, service_name(project_name, launch.name), {"token": b"a-secret"})
        engine.remove_service(service_name(project_name, launch.name))  # so far a killed `remove` came
    leavings = Leavings(runtime._inventory, runtime._couriers, secrets, runtime._staging)

    def left() -> tuple[bool, int, int]:
        names = [service["Spec"]["Name"] for service in engine.services(filters=label)]
        containers = engine.containers(all=True, filters=staging)
        kept = [secret for secret in engine.secrets(filters=label) if LABEL_CONTAINER in secret["Spec"]["Labels"]]
        return courier_of(service_name(project_name, job.name)) in names, len(kept), len(containers)

    leavings.sweep()
    assert left() == (True, 2, 1), "another run may be about to make their containers"
    leavings.sweep(timedelta(seconds=-60))  # whatever the clocks say
    assert left() == (False, 0, 0)


def test_a_gateway_for_this_machine_alone_is_refused(runtime: SwarmRuntime, project_name: str) -> None:
    gateway = replace(instance(project_name), address=GATEWAY, publish=("127.0.0.1", 8080))
    with pytest.raises(WorldError, match="on all addresses of a node"):
        runtime.create([gateway])


def test_a_program_that_is_not_there_is_said_and_not_tried_again(runtime: SwarmRuntime, project_name: str) -> None:
    launch = replace(instance(project_name), entrypoint=("no-such-program",), arguments=())
    runtime.prepare(launch.program, lambda _: None)
    runtime.create([launch])
    with pytest.raises(CannotStart, match="the image has no executable no-such-program on its PATH"):
        runtime.start(launch.name)
    assert runtime.inspect(launch.name) == _in_state(runtime, launch.name, ContainerState.EXITED)


def test_a_port_of_the_node_is_one_containers_alone(runtime: SwarmRuntime, cluster: Cluster, project_name: str) -> None:
    first, second = (
        replace(instance(project_name, number, SLEEP), address=GATEWAY, publish=(cluster.manager.address, 8080))
        for number in range(2)
    )
    runtime.prepare(first.program, lambda _: None)
    runtime.create([first, second])
    runtime.start(first.name)
    with pytest.raises(PortTaken, match="port 8080"):
        runtime.start(second.name)


def _in_state(runtime: SwarmRuntime, name: str, state: ContainerState) -> Container | None:
    found = runtime.inspect(name)
    return found if found and found.state is state else None
