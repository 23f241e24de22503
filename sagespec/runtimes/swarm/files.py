"""Files of a container by its kind: through its courier, or on our own engine, where those not started wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from sagespec.errors import WorldError
from sagespec.runtimes.docker.commands import run
from sagespec.runtimes.docker.files import BASE, contents, inside, parents, tar, tree
from sagespec.runtimes.swarm.couriers import Couriers
from sagespec.runtimes.swarm.reading import Service
from sagespec.runtimes.swarm.staging import Staging


class Files:
    """node: the id of that whose engine this is."""

    def __init__(self, engine: Any, node: str, staging: Staging, couriers: Couriers) -> None:
        self._engine, self._node, self._staging, self._couriers = engine, node, staging, couriers

    def put(self, service: Service, path: str, source: Path) -> None:
        at = inside(path)
        members = chain(parents(at), tree(source, at))
        if service.part == "job":
            self._couriers.put(service.name, members)
        else:
            self._staging.put(self._staged(service), members)

    def write(self, service: Service, files: Mapping[str, bytes], *, private: bool) -> None:
        mode = 0o600 if private else 0o644
        if service.part == "job":
            self._couriers.write(service.name, files, private=private)
        elif service.container_id and service.part == "pinned":
            self._write_running(service, files, mode)
        else:
            members = contents({inside(path): data for path, data in files.items()}, mode)
            self._staging.put(self._staged(service), members)

    def read(self, service: Service, path: str, limit: int) -> bytes | None:
        if service.part == "job":
            return self._couriers.read(service.name, path, limit)
        if (service.part == "serving" and service.start) or self._is_lost(service):
            return None
        return self._staging.read(self._staged(service), path, limit)

    def get(self, service: Service, path: str) -> Iterator[bytes]:
        if service.part == "job":
            yield from self._couriers.get(service.name, path)
        else:
            yield from tar(self._staging.members(self._staged(service), path))

    def _write_running(self, service: Service, files: Mapping[str, bytes], mode: int) -> None:
        """Put beside the old ones, and moved by the container's own hand, which watchers see as one event."""
        new = {f"{inside(path)}.new": data for path, data in files.items()}
        self._staging.put(self._staged(service), contents(new, mode))
        moves = [argument for path in files for argument in (f"/{inside(path)}.new", f"/{inside(path)}")]
        script = 'while [ $# -gt 0 ]; do mv -f "$1" "$2" || exit 1; shift 2; done'
        _, complaint = run(self._engine, service.container_id, ["sh", "-c", script, "sh", *moves])
        if complaint:
            raise WorldError(
                f"files could not be moved into place in {service.container_name}: {complaint}",
                fix=f"`docker exec {service.container_id[:12]} df {BASE}` shows whether the disk is full",
            )

    def _is_here(self, service: Service) -> bool:
        return service.node == self._node

    def _is_lost(self, service: Service) -> bool:
        """Its volume with its node."""
        return service.part == "pinned" and service.has_ended and not self._is_here(service)

    def _staged(self, service: Service) -> str:
        """Where its files are reached on our engine."""
        if service.part == "pinned":
            if not self._is_here(service):
                raise elsewhere(service)
            self._staging.make(service.name, {"": service.name})  # somebody may have cleared up
        elif service.start:
            raise WorldError(
                f"{service.container_name} runs somewhere in the Swarm, and its files are part of its image",
                fix="start another one with the files that it is to have",
            )
        return service.name


def elsewhere(service: Service) -> WorldError:
    """Of what is on one node: sagespec reaches it only through the engine there."""
    at = (container.node if (container := service.container()) else "") or service.node
    return WorldError(
        f"{service.container_name} is on the node {at}, and sagespec speaks to the engine of another one",
        why="only the engine of its node reaches its files",
        fix=f"set DOCKER_HOST to the engine of {at}; or `docker service rm {service.name}`, and it is made here",
    )
