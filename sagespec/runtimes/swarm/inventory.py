"""Which services are ours, with their tasks: two lists, however many there are.

Only when a task should run no more and is said to run all the same, the nodes are asked for: one may be lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.couriers import name_of
from sagespec.runtimes.swarm.names import LABEL_CONTAINER, service_name
from sagespec.runtimes.swarm.reading import Service, by_service, has_watched, is_in_doubt, time_of
from sagespec.state.labels import LABEL_PROJECT

NODE_SECONDS = 60.0  # that what was started waits for a node which has room


class Inventory:
    def __init__(self, cluster: Cluster, project_name: str) -> None:
        self._cluster, self._project_name = cluster, project_name
        self._label = f"{LABEL_PROJECT}={project_name}"
        self._hostnames: dict[str, str] = {}
        self._waiting: dict[str, float] = {}  # by task, since when, by our own clock

    def name_of(self, container_name: str) -> str:
        return service_name(self._project_name, container_name)

    def all(self) -> dict[str, Service]:
        """By container name, sorted."""
        # Tasks first: of a service that comes or goes in between, none is seen without its tasks.
        tasks = self._cluster.tasks(self._label)
        found = self._joined(self._cluster.services(self._label), tasks)
        return {service.container_name: service for service in sorted(found, key=lambda one: one.container_name)}

    def find(self, container_name: str) -> Service | None:
        service = self._cluster.service(self.name_of(container_name))
        if service is None or (service["Spec"].get("Labels") or {}).get(LABEL_CONTAINER) != container_name:
            return None
        services, tasks = [service], self._cluster.tasks_of(service["ID"])
        courier = self._cluster.service(name_of(service["Spec"]["Name"])) if _is_over(tasks) else None
        if courier:
            services.append(courier)
            tasks += self._cluster.tasks_of(courier["ID"])
        return next(iter(self._joined(services, tasks)), None)

    def need(self, container_name: str) -> Service:
        service = self.find(container_name)
        if service is None:
            raise WorldError(
                f"container {container_name} of project {self._project_name} is not there",
                why="it was removed, or never created",
                fix="run the command again: it creates what is missing",
            )
        return service

    def left_alone(self, made_before: datetime | None = None) -> list[str]:
        """Names of services that are not there, though their couriers are: of runs that were killed."""
        services = {str(service["Spec"]["Name"]): service for service in self._cluster.services(self._label)}
        ending = name_of("")
        return sorted(
            name.removesuffix(ending)
            for name, service in services.items()
            if name.endswith(ending)
            and name.removesuffix(ending) not in services
            and (made_before is None or time_of(service["CreatedAt"]) < made_before)
        )

    def lost_nodes(self) -> frozenset[str]:
        """The ids of those that nobody hears of any more."""
        return frozenset(str(node["ID"]) for node in self._cluster.nodes() if node["Status"]["State"] == "down")

    def _hostnames_of(self, tasks: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
        """The nodes are asked for when one is seen for the first time."""
        if any(task.get("NodeID") and task["NodeID"] not in self._hostnames for task in tasks):
            named = {str(node["ID"]): str(node["Description"]["Hostname"]) for node in self._cluster.nodes()}
            gone = {str(task["NodeID"]): "" for task in tasks if task.get("NodeID")}  # of which there is no more to ask
            self._hostnames = gone | named
        return self._hostnames

    def _joined(self, services: Iterable[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]]) -> list[Service]:
        lost = self.lost_nodes() if any(map(is_in_doubt, tasks)) else frozenset()
        hostnames = self._hostnames_of(tasks)
        grouped = by_service(tasks)
        by_name = {str(service["Spec"]["Name"]): service for service in services}
        found = []
        for name, raw in by_name.items():
            if LABEL_CONTAINER not in (raw["Spec"].get("Labels") or {}):
                continue  # a courier, or the porter
            service = Service(raw, grouped.get(str(raw["ID"]), ()), lost, hostnames=hostnames)
            if service.part != "serving" and service.newest is None:
                service = replace(service, waits_in_vain=self._waits_in_vain(service))
            elif service.part == "job":
                courier = grouped.get(str(by_name.get(name_of(name), {}).get("ID")), ())
                service = replace(service, watched=has_watched(service.newest or {}, courier))
            found.append(service)
        return found

    def _waits_in_vain(self, service: Service) -> bool:
        """Of what is bound to a node: a job whose start was cut off, and whose node is away, would be waited for until
        its deadline, and a gateway for ever."""
        if not service.waits_because:
            return False
        since = self._waiting.setdefault(str(service.tasks[-1]["ID"]), time.monotonic())
        return time.monotonic() - since > NODE_SECONDS


def _is_over(tasks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one has ended: then it counts whether its courier still runs."""
    return any((task.get("Status") or {}).get("ContainerStatus", {}).get("ExitCode") is not None for task in tasks)
