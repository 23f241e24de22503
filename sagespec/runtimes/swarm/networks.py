"""The networks of one project: the one in which the gateway reaches what serves, and those of jobs.

None of them has a courier: what users run is never in a network with those that bring files.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from docker.errors import APIError

from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.names import part_of, project_network, service_name
from sagespec.state.labels import LABEL_PROJECT
from sagespec.state.launches import Launch

_IN_USE_SECONDS = 20.0  # containers that are on their way out hold a network for a while


class Networks:
    def __init__(self, cluster: Cluster, project_name: str) -> None:
        self._cluster, self._project_name = cluster, project_name
        self._label = f"{LABEL_PROJECT}={project_name}"

    def of(self, launch: Launch) -> Mapping[str, Sequence[str]]:
        """The networks that a container is to be in, made if needed, with the further names that it has there.

        The host of a job that is alone is in none, which leaves it the engine's own way to other machines; where it is
        not to have that, it is alone in a network of its own.
        """
        if part_of(launch) != "job":
            return {self._made(project_network(self._project_name)): ()}
        if not launch.hosts[1:] and not launch.isolated:
            return {}
        return {self._made(self.of_job(launch), is_closed=launch.isolated): (launch.alias,) if launch.alias else ()}

    def of_job(self, launch: Launch) -> str:
        """The name of its job's network, if it has one."""
        return f"{service_name(self._project_name, launch.hosts[0] if launch.hosts else launch.name)}-hosts"

    def remove_unused(self, names: Sequence[str]) -> None:
        """Those of ours that nobody is in any more; one that somebody else is in stays."""
        for name in names:
            self._remove(name)

    def remove_all(self) -> None:
        for network in self._cluster.get("/networks", label=[self._label]):
            if network["Name"] == project_network(self._project_name) or network["Name"].endswith("-hosts"):
                self._remove(network["Id"])

    def _made(self, name: str, *, is_closed: bool = False) -> str:
        labels = {LABEL_PROJECT: self._project_name}
        self._cluster.make_network({"Name": name, "Internal": is_closed, "Labels": labels})
        return name

    def _remove(self, name_or_id: str) -> None:
        give_up_at = time.monotonic() + _IN_USE_SECONDS
        while True:
            try:
                self._cluster.delete(f"/networks/{name_or_id}")
            except APIError as error:
                if "service" in str(error.explanation) or time.monotonic() > give_up_at:
                    return  # another host is in it, or its last container is slow to go: `destroy` takes it then
                time.sleep(0.2)
            else:
                return
