"""A node that has no room left, so that what is tested runs on another."""

from __future__ import annotations

from functools import partial

from tests.swarm.cluster import GONE_SECONDS, Cluster
from tests.swarm.node import Node
from tests.swarm.within import within


def fill(cluster: Cluster, node: Node, image: str) -> None:
    """Have all its CPUs reserved. image: one that sleeps when it is told to, as the node can get it."""
    resources = cluster.manager.engine.inspect_node(node.id)["Description"]["Resources"]
    spec = {
        "Name": f"busy-{node.name}",
        "TaskTemplate": {
            "ContainerSpec": {"Image": image, "Command": ["sleep", "600"], "StopGracePeriod": 1_000_000},
            "Resources": {"Reservations": {"NanoCPUs": resources["NanoCPUs"]}},
            "Placement": {"Constraints": [f"node.id=={node.id}"]},
        },
    }
    engine = cluster.manager.engine
    made = engine.post(f"{engine.base_url}/v1.41/services/create", json=spec)
    assert made.ok, made.text
    within(GONE_SECONDS, partial(_runs, cluster, made.json()["ID"]), f"{node.name} does not get busy")


def _runs(cluster: Cluster, service: str) -> bool:
    tasks = cluster.manager.engine.tasks(filters={"service": service})
    return any(task["Status"]["State"] == "running" for task in tasks)


def node_of(cluster: Cluster, label: str) -> Node | None:
    """Where the newest container runs whose service has this label."""
    tasks = cluster.manager.engine.tasks(filters={"label": label})
    running = [task for task in tasks if task["Status"]["State"] == "running"]
    newest = max(running, key=lambda task: str(task["CreatedAt"]), default=None)
    return next((node for node in cluster.nodes if newest and node.id == newest["NodeID"]), None)
