"""Whom `sagespec doctor` asks about a Swarm, in which order: a manager, the registry, the nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import engine_address
from sagespec.runtimes.protocol import Check
from sagespec.runtimes.swarm.checks import Node, checks_of_answers, checks_of_nodes, unreachable
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.images import SwarmImages
from sagespec.runtimes.swarm.probing import ask_nodes
from sagespec.runtimes.swarm.registry import Registry
from sagespec.state.observed import Capacity
from sagespec.state.programs import Builtin

COURIER = Builtin("courier")  # what every project has in its registry, once it has run a job


class Doctor:
    """further_managers: how many addresses of others the settings name."""

    def __init__(
        self, cluster: Cluster, images: SwarmImages, registry: Registry, project_name: str, further_managers: int
    ) -> None:
        self._cluster, self._images, self._registry = cluster, images, registry
        self._project_name, self._further_managers = project_name, further_managers

    def checks(self, capacity: Capacity) -> tuple[Check, ...]:
        began = time.monotonic()
        nodes = sorted(map(Node.read, self._cluster.nodes()), key=lambda node: node.name)
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        about = Check("swarm", True, f"the manager at {engine_address()} answers in {took}; {capacity}")
        return (about, *checks_of_nodes(nodes, self._further_managers), *self._images_and_nodes(nodes))

    def _images_and_nodes(self, nodes: list[Node]) -> Iterator[Check]:
        reference = self._images.reference(COURIER)
        try:
            digest = self._registry.digest(reference)
        except WorldError as error:
            yield unreachable(error)
            return
        yield Check("registry", True, f"{self._registry.place}: the engine reaches it")
        if not digest:
            yield Check(
                "images on nodes",
                True,
                "not checked yet: none of sagespec's images is in the registry before the first apply",
            )
            return
        image = f"{reference.rpartition(':')[0]}@{digest}"
        count = sum(node.takes_work for node in nodes)
        login = self._registry.login_for(reference)
        yield from checks_of_answers(nodes, ask_nodes(self._cluster, self._project_name, image, count, login=login))
