"""The loop of a person on a cluster: train and serve wherever there is room, and ask through the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import ContainerState
from sagespec.state.programs import Builtin
from tests import built
from tests.contracts.bench import wait_for
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace
from tests.swarm.busy import fill, node_of
from tests.swarm.cluster import Cluster

pytestmark = pytest.mark.swarm
PROGRAMS = ("courier", "gateway", "echo", "feeder")


@pytest.fixture
def workspace(request: pytest.FixtureRequest, tmp_path: Path, project_name: str) -> Workspace:
    """A project whose gateway is on the manager's node."""
    references = [built.reference(name) for name in PROGRAMS]  # on the engine of this machine
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.load(*references)
    runtime = f"{{swarm: {{registry: '{cluster.registry}/loop', single_operator: true}}}}"
    found = Workspace(tmp_path / "project", project_name, runtime)
    found.edit("gateway: {", f"gateway: {{host: {cluster.manager.address}, open: true, ", "sagespec.yaml")
    return found


def test_a_model_is_trained_by_two_hosts_and_served_on_several_nodes(workspace: Workspace, cluster: Cluster) -> None:
    workspace.write(job(1, instances=2) + endpoint("stable model@1 90 instances: 2", "candidate model@1 10"))
    workspace.run("apply")
    containers = workspace.containers()
    assert sorted(str(c.address) for c in containers) == [
        "endpoint/answers/candidate#0",
        "endpoint/answers/stable#0",
        "endpoint/answers/stable#1",
        "gateway",
    ]
    assert all(c.state is ContainerState.RUNNING for c in containers)
    nodes = {
        task["NodeID"]
        for task in cluster.manager.engine.tasks(filters={"label": "sagespec.part=serving"})
        if task["Status"]["State"] == "running"
    }
    assert len(nodes) > 1, "the Swarm spreads them"
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.COMPLETED
    assert {"model", "output", "logs/algo-1", "logs/algo-2"} <= manifest.artifacts.keys()
    for variant in ("stable", "candidate"):
        status, _, answered_by = workspace.invoke("answers", "hello", variant=variant)
        assert (status, answered_by) == (200, variant)
    assert workspace.json("apply")["outcomes"] == []


@pytest.mark.slow(90)
def test_a_job_whose_node_is_lost_is_trained_on_another(workspace: Workspace, cluster: Cluster) -> None:
    with workspace.engine() as runtime:
        runtime.prepare(Builtin("echo"), lambda _: None)
        fill(cluster, cluster.manager, runtime.reference_of(Builtin("echo")))
    workspace.write(job(1, hyperparameters="{sleep: 30}") + "resources: {cpus: 0.5}\n")
    with workspace.running("apply") as applying:
        node = wait_for(lambda: node_of(cluster, "sagespec.part=job"))
        cluster.cut(node)
        said, _ = applying.communicate(timeout=300)
        assert applying.returncode == 0, said
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.COMPLETED
    assert [attempt.reason for attempt in manifest.attempts] == [
        f"InternalServerError: algo-1 was lost: its node {node.name} does not answer",
        "",
    ]
