"""What becomes of requests and of jobs when nodes, wires and engines fail. docs/swarm.md has a row for each."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.programs import Builtin
from tests import built
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until
from tests.swarm.busy import fill
from tests.swarm.cluster import Cluster
from tests.swarm.node import Node

pytestmark = pytest.mark.swarm
LOAD = Path(__file__).parents[1] / "load.py"
RATE, CALLERS = 40.0, 4
AGAIN_SECONDS = 120.0  # until one that stood alone serves again: a sixth of it on a quiet machine
TWO, ALONE = "answers", "alone"
FIRST = job(1) + endpoint("only model@1 1", name="first")
WITH_TWO = FIRST + endpoint("only model@1 1 instances: 2", name=TWO)
SERVED = WITH_TWO + endpoint("only model@1 1", name=ALONE)


@pytest.fixture(scope="session")
def images() -> Sequence[str]:
    """On the engine of this machine, which is spoken to until a test has its cluster."""
    return [built.reference(name) for name in ("courier", "gateway", "echo", "feeder")]


@pytest.fixture
def workspace(images: Sequence[str], cluster: Cluster, tmp_path: Path, project_name: str) -> Workspace:
    cluster.load(*images)
    runtime = f"{{swarm: {{registry: '{cluster.registry}/failures', single_operator: true}}}}"
    found = Workspace(tmp_path / "swarm", project_name, runtime)
    found.edit("gateway: {", f"gateway: {{host: {cluster.manager.address}, open: true, ", "sagespec.yaml")
    return found


class Load:
    """Requests to an endpoint with two instances, until `end`, which tells what became of them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def end(self) -> dict[str, Any]:
        said, _ = self._process.communicate("stop\n", timeout=60)
        found: dict[str, Any] = json.loads(said)
        return found

    def end_well(self, *, in_flight: int = 0) -> str:
        """What became of them. in_flight: how many may be lost, which were sent to a node before it was lost: nobody
        knows whether it has worked on them, so they are not sent again."""
        found = self.end()
        lost = found["sent"] - found["statuses"].get("200", 0)
        assert lost <= in_flight, found
        return f"{lost} of {found['sent']} lost\n"


@contextmanager
def load_on(workspace: Workspace, cluster: Cluster) -> Iterator[Load]:
    path = f"/endpoints/{TWO}/invocations"
    words = [sys.executable, str(LOAD), cluster.manager.address, str(workspace.port), path, str(RATE), str(CALLERS)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        process.stdin.write("1,2\n")
        process.stdin.flush()
        try:
            yield Load(process)
        finally:
            process.kill()


def answers(workspace: Workspace, cluster: Cluster, name: str) -> bool:
    connection = http.client.HTTPConnection(cluster.manager.address, workspace.port, timeout=5)
    try:
        connection.request("POST", f"/endpoints/{name}/invocations", "1,2\n", {"Content-Type": "text/csv"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def again_after(workspace: Workspace, cluster: Cluster, name: str, begun: float) -> float:
    """Seconds from `begun` until it answers."""
    wait_until(lambda: answers(workspace, cluster, name), AGAIN_SECONDS)
    return time.monotonic() - begun


def serve(workspace: Workspace, cluster: Cluster) -> None:
    """Both endpoints, on the workers alone, where those that are made one after the other are spread; the manager has
    the gateway, and whatever else needs a place."""
    first, *workers = cluster.nodes
    for node in workers:
        cluster.rest(node)
    workspace.write(FIRST)
    workspace.run("apply")
    cluster.rest(first)
    for node in workers:
        cluster.use(node)
    for specs in (WITH_TWO, SERVED):
        workspace.write(specs)
        workspace.run("apply")
    wait_until(lambda: answers(workspace, cluster, TWO) and answers(workspace, cluster, ALONE))


def nodes_of(workspace: Workspace, name: str) -> set[str]:
    with workspace.project() as project:
        containers = project.parts.runtime.containers()
    return {c.node for c in containers if c.address.name == name and c.address.kind == "endpoint"}


def node_called(cluster: Cluster, name: str) -> Node:
    return next(node for node in cluster.nodes if node.name == name)


def is_down(cluster: Cluster, node: Node) -> bool:
    return bool(cluster.manager.engine.inspect_node(node.id)["Status"]["State"] == "down")


@pytest.mark.slow(90)
def test_a_node_that_is_cut_off_costs_what_is_in_flight_where_two_instances_stand(
    workspace: Workspace, cluster: Cluster, evidence: Path
) -> None:
    """Nobody runs sagespec meanwhile."""
    serve(workspace, cluster)
    assert nodes_of(workspace, TWO) == {"n2", "n3"}
    (name,) = nodes_of(workspace, ALONE)
    node = node_called(cluster, name)
    with load_on(workspace, cluster) as load:
        cluster.cut(node)
        begun = time.monotonic()
        wait_until(lambda: not answers(workspace, cluster, ALONE))
        took = again_after(workspace, cluster, ALONE, begun)
        wait_until(lambda: nodes_of(workspace, TWO) == {other.name for other in cluster.nodes[1:]} - {name})
        cluster.join(node)
        wait_until(lambda: not is_down(cluster, node))
        wait_until(lambda: not node.engine.containers(), 60)  # its copies, which nobody needs any more
        told = load.end_well(in_flight=CALLERS)
    (evidence / "measured.txt").write_text(f"{told}alone again after {took:.1f} s\n")


@pytest.mark.slow(90)
def test_engines_killed_in_turn_cost_what_is_in_flight_when_their_nodes_are_given_up(
    workspace: Workspace, cluster: Cluster, evidence: Path
) -> None:
    """What runs on a node runs on without its engine, until the Swarm has given the node up. An engine that is started
    again ends what it finds: on the manager's node that is the gateway, which is away until it was started again."""
    serve(workspace, cluster)
    with load_on(workspace, cluster) as load:
        for node in cluster.nodes[1:]:
            node.kill()
            wait_until(partial(is_down, cluster, node))
        cluster.use(cluster.manager)
        cluster.manager.kill()
        time.sleep(3)  # of requests, without any engine
        told = load.end_well(in_flight=CALLERS * (len(cluster.nodes) - 1))
    for node in cluster.nodes:
        node.start()
    begun = time.monotonic()
    took = again_after(workspace, cluster, TWO, begun)
    assert again_after(workspace, cluster, ALONE, begun)
    (evidence / "measured.txt").write_text(f"{told}gateway again after {took:.1f} s\n")


@pytest.mark.slow(60)
def test_a_job_of_a_drained_node_is_taken_up_elsewhere_from_its_checkpoints(
    workspace: Workspace, cluster: Cluster, evidence: Path
) -> None:
    with workspace.engine() as runtime:
        runtime.prepare(Builtin("echo"), lambda _: None)
        fill(cluster, cluster.manager, runtime.reference_of(Builtin("echo")))
    lasts = job(1, hyperparameters="{epochs: 24, epoch_seconds: 0.5}")
    workspace.write(f"{lasts}checkpoints: true\nresources: {{cpus: 0.5}}\n")

    def checkpoints() -> bool:
        return any("checkpoints/epoch" in entry.key for entry in workspace.records().store.entries())

    with workspace.running("apply") as apply:
        wait_until(checkpoints, 120)
        (row,) = workspace.json("status")["jobs"]
        (name,) = row["nodes"]
        cluster.drain(node_called(cluster, name))
        said, _ = apply.communicate(timeout=240)
    (evidence / "apply.txt").write_text(said)
    assert apply.returncode == 0, said
    address = job_address("model", 1)
    manifest = workspace.records().manifests([address])[address]
    assert manifest.status is JobStatus.COMPLETED
    first, last = manifest.attempts
    assert first.reason.startswith("InternalServerError: ")
    assert last.reason == ""
    log = workspace.records().store.read(workspace.records().job_key(address, "logs/algo-1.log"))
    assert log
    lines = log[0].decode().split()
    assert (lines[-1], lines[0] != "epoch=1") == ("epoch=24", True), "it goes on from its checkpoints"
