"""GPUs of the nodes, each of them one container's at a time, of whatever project.

The Swarm can reserve them as generic resources, but then ends what runs whenever anything of its node is updated, such
as a label, or the first network there ("assigned node no longer meets constraints"). So who has a GPU is kept in an
object of the Swarm's of which there is only one by a name: a config, which nothing mounts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sagespec.errors import WorldError
from sagespec.runtimes.docker.gpus import gpu_ids
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.names import LABEL_NODE
from sagespec.state.labels import LABEL_GPUS, LABEL_PROJECT

LABEL_HOLDER = "sagespec.holder"  # the service that has it
UNUSED_AFTER = timedelta(minutes=5)  # of a holder that is not there: the run that was to make it was killed


@dataclass(frozen=True)
class Claim:
    """One GPU that a service has. id: of the config."""

    id: str
    node_id: str
    gpu: str
    holder: str
    at: datetime


class Gpus:
    """The GPUs of one Swarm, as one project takes them."""

    def __init__(self, cluster: Cluster, project_name: str) -> None:
        self._cluster, self._project_name = cluster, project_name

    def held(self, holder: str) -> tuple[Claim, ...]:
        """What the service of this name has."""
        return tuple(claim for claim in self._claims() if claim.holder == holder)

    def nodes_with(self, count: int, about: str) -> Mapping[str, Sequence[str]]:
        """The free GPUs of each node that has as many, the freest node first; WorldError when none has."""
        self._sweep()
        return free_gpus(gpus_by_node(self._cluster.nodes()), self._claims(), count, about)

    def take(self, node_id: str, gpus: Iterable[str], count: int, holder: str) -> tuple[str, ...]:
        """The first `count` of these that nobody takes meanwhile; () when that leaves too few."""
        taken: list[str] = []
        for gpu in gpus:
            if len(taken) < count and self._claim(node_id, gpu, holder):
                taken.append(gpu)
        if len(taken) < count:
            self.give_back(holder)
            return ()
        return tuple(taken)

    def give_back(self, holder: str) -> None:
        for claim in self.held(holder):
            self._cluster.delete(f"/configs/{claim.id}")

    def _claim(self, node_id: str, gpu: str, holder: str) -> bool:
        labels = {LABEL_PROJECT: self._project_name, LABEL_HOLDER: holder, LABEL_NODE: node_id, LABEL_GPUS: gpu}
        name = f"sagespec-gpu-{hashlib.sha256(f'{node_id} {gpu}'.encode()).hexdigest()[:32]}"
        return bool(self._cluster.make("configs", name, labels, b"."))

    def _claims(self) -> list[Claim]:
        return [claim_of(config) for config in self._cluster.get("/configs", label=[LABEL_HOLDER])]

    def _sweep(self) -> None:
        for claim in self._claims():
            if datetime.now(UTC) - claim.at > UNUSED_AFTER and self._cluster.service(claim.holder) is None:
                self._cluster.delete(f"/configs/{claim.id}")


def free_gpus(
    there: Mapping[str, Sequence[str]], claims: Iterable[Claim], count: int, about: str
) -> dict[str, list[str]]:
    """there: all GPUs by node."""
    taken = {(claim.node_id, claim.gpu) for claim in claims}
    free = {node: [gpu for gpu in gpus if (node, gpu) not in taken] for node, gpus in there.items()}
    enough = {node: gpus for node, gpus in free.items() if len(gpus) >= count}
    if not enough:
        asked, are = f"{count} GPU{'' if count == 1 else 's'}", sum(map(len, free.values()))
        raise WorldError(
            f"{about} needs {asked} of its own, and of {sum(map(len, there.values()))} there "
            f"{'is' if are == 1 else 'are'} {are} free",
            why=f"a GPU is never shared, and they must be of one node; the freest has "
            f"{max(map(len, free.values()), default=0)}",
            fix="apply again when one is free, or remove what holds it; `sagespec doctor` shows what the nodes have",
        )
    return dict(sorted(enough.items(), key=lambda item: (-len(item[1]), item[0])))


def gpus_by_node(nodes: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The GPUs that nodes declare by id, of those nodes that take tasks."""
    return {
        str(node["ID"]): gpu_ids(node["Description"]["Resources"], tuple)
        for node in nodes
        if node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active"
    }


def claim_of(config: Mapping[str, Any]) -> Claim:
    labels = config["Spec"]["Labels"]
    created = datetime.fromisoformat(f"{config['CreatedAt'][:19]}+00:00")
    return Claim(str(config["ID"]), labels[LABEL_NODE], labels[LABEL_GPUS], labels[LABEL_HOLDER], created)
