"""Secrets that containers get as files, kept by the Swarm and shown in no service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from secrets import token_hex

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.names import LABEL_CONTAINER
from sagespec.runtimes.swarm.reading import time_of
from sagespec.state.labels import LABEL_PROJECT


class Secrets:
    def __init__(self, cluster: Cluster, project_name: str) -> None:
        self._cluster, self._project_name = cluster, project_name

    def keep(self, container_name: str, service_name: str, files: Mapping[str, bytes]) -> dict[str, tuple[str, str]]:
        """Id and name in the Swarm by our name. Each container has its own, which go with it."""
        labels, kept = {LABEL_PROJECT: self._project_name, LABEL_CONTAINER: container_name}, {}
        for name, content in files.items():
            swarms_name = f"{service_name}-{token_hex(8)}"
            secret_id = self._cluster.make("secrets", swarms_name, labels, content)
            if not secret_id:
                raise WorldError(f"the Swarm has another secret named {swarms_name}", fix="run the command again")
            kept[name] = (secret_id, swarms_name)
        return kept

    def forget(self, container_name: str = "") -> None:
        """Those of one container, or of all."""
        labels = [f"{LABEL_PROJECT}={self._project_name}"]
        labels.append(f"{LABEL_CONTAINER}={container_name}" if container_name else LABEL_CONTAINER)
        for secret in self._cluster.get("/secrets", label=labels):
            self.remove(str(secret["ID"]))

    def made_before(self, moment: datetime) -> dict[str, str]:
        """The containers' names by ids of secrets."""
        labels = [f"{LABEL_PROJECT}={self._project_name}", LABEL_CONTAINER]
        return {
            str(secret["ID"]): str(secret["Spec"]["Labels"][LABEL_CONTAINER])
            for secret in self._cluster.get("/secrets", label=labels)
            if time_of(secret["CreatedAt"]) < moment
        }

    def remove(self, secret_id: str) -> None:
        self._cluster.delete(f"/secrets/{secret_id}")
