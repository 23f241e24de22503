"""Makes containers: each with its network, its address there and its GPUs.

Addresses and GPUs are chosen by one thread at a time, GPUs by one process of this machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from docker.errors import APIError

from sagespec.errors import WorldError
from sagespec.runtimes.docker.containers import STATES, Containers
from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.docker.files import Entry, secret_files
from sagespec.runtimes.docker.gpus import gpus_by_container
from sagespec.runtimes.docker.images import Images
from sagespec.runtimes.docker.launches import settings_of
from sagespec.runtimes.docker.network import Network
from sagespec.runtimes.machine import alone_with_gpus
from sagespec.runtimes.opened import Open, secret_files_of, variables_of
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity

PATIENCE_SECONDS = 30.0  # with what another process is making or removing


class Creation:
    """marks: labels that containers get beside their own, asked for when one is made. open_secret: what their secrets
    are opened with. upload: puts members of a tar into a container."""

    def __init__(
        self,
        engine: Any,
        project_name: str,
        *,
        containers: Containers,
        images: Images,
        network: Network,
        capacity: Callable[[], Capacity],
        marks: Callable[[], Mapping[str, str]],
        open_secret: Open,
        upload: Callable[[str, Iterable[Entry]], None],
    ) -> None:
        self._engine, self._project_name = engine, project_name
        self._containers, self._images, self._network = containers, images, network
        self._capacity, self._marks = capacity, marks
        self._open_secret, self._upload = open_secret, upload
        self._one_at_a_time = threading.Lock()

    def create(self, launches: Sequence[Launch]) -> None:
        turn = alone_with_gpus() if any(launch.gpus for launch in launches) else nullcontext()
        with turn, self._one_at_a_time, refusals(f"create {', '.join(launch.name for launch in launches)}"):
            there = self._containers.addresses().keys()
            wanting = [launch for launch in launches if launch.gpus and launch.name not in there]
            gpus = gpus_by_container(wanting, self._capacity().gpus, self._containers.gpus_taken()) if wanting else {}
            for network, group in self._network.by_network(launches):
                addresses = network.addresses_for(group) if network else {}
                for launch in group:
                    if launch.name not in there:
                        hosts = {
                            other.alias: addresses[other.name]
                            for other in group
                            if other.name in launch.hosts and other.name != launch.name and other.alias
                        }
                        place = (network.name, addresses[launch.name]) if network else ("", "")
                        self._create(launch, place, hosts, gpus.get(launch.name, ()))

    def move(self, name: str, container_id: str) -> None:
        """Give a container that is not running another address: its own is in use."""
        with self._one_at_a_time:
            self._network.move(name, container_id)

    def _create(self, launch: Launch, place: tuple[str, str], hosts: Mapping[str, str], gpus: Sequence[str]) -> None:
        settings = settings_of(
            self._engine,
            launch,
            project_name=self._project_name,
            network_name=place[0],
            address=place[1],
            hosts=hosts,
            gpus=gpus,
            marks=self._marks(),
            variables=variables_of(launch.environment, self._open_secret),
        )
        files = secret_files_of(launch.environment, self._open_secret)
        image = launch.image or self._images.reference(launch.program)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                container_id = self._engine.create_container(image, **settings)["Id"]
            except APIError as error:
                if error.status_code != 409 or time.monotonic() > give_up:
                    raise
            else:
                if files:
                    self._upload(container_id, secret_files(files))
                return
            # The name is taken. Where nothing is to be seen under it, another process is making the container
            # at this moment; where it is neither this nor that, it is being removed.
            details = self._containers.find_any(launch.name)
            if details and not self._containers.is_ours(details):
                raise WorldError(
                    f"the name {launch.name} is taken by a container outside project {self._project_name}",
                    why="sagespec touches only containers with its own labels",
                    fix=f"inspect it with `docker inspect {launch.name}`, then rename or remove it",
                )
            if details and details["State"]["Status"] in STATES:
                return
            time.sleep(0.05)
