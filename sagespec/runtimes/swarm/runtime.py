"""The `swarm` runtime: containers as services of a Docker Swarm, on any of its nodes.

Called only through the Runtime protocol. There are three kinds of container, and for each another way to its files:

    job       a task that is never started again, beside a courier, which brings its files
    serving   restarted by the Swarm, on whichever node; its files are a layer of its image
    pinned    the gateway: on the node whose engine we speak to, with a volume there

SwarmRuntime, here, has the protocol's methods; the rest is beside it:

    cluster.py    calls to whichever manager answers
    names.py      names and labels
    services.py   a Launch as the settings of a service
    inventory.py  which services are ours, with their tasks
    reading.py    a service with its tasks as a Container
    creation.py   new containers
    life.py       start, stop, remove
    files.py      files in and out; of what is not started yet, and of the gateway, through staging.py
    couriers.py   files of jobs, wherever they are; porter.py: the way to them
    gpus.py       GPUs of nodes by id
    images.py     programs' images in a registry; registry.py, catalog.py, bake.py
    logs.py       lines of tasks, followed to the last; looks.py: whether they have ended
    events.py     what changes, by looking
    volumes.py    volumes of our engine, and how other nodes get what is in them
    networks.py, secrets.py
    checks.py     what doctor says; doctor.py, probing.py: whom it asks
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Self

from sagespec.errors import WorldError
from sagespec.masking import masked
from sagespec.runtimes.docker.commands import bodies_of, requests_in_container, run
from sagespec.runtimes.docker.engine import connect, engine_address, refusals
from sagespec.runtimes.docker.files import BASE, tar
from sagespec.runtimes.docker.logs import seconds_of
from sagespec.runtimes.docker.unrun import LINES, may_be_kernels, reason_of
from sagespec.runtimes.opened import Open, learn, no_secrets
from sagespec.runtimes.protocol import READ_LIMIT_BYTES, Check, EndSeen, ImageInfo, Tell, Use, untold
from sagespec.runtimes.swarm.bake import Bakery
from sagespec.runtimes.swarm.cluster import Cluster, own_node
from sagespec.runtimes.swarm.couriers import Couriers
from sagespec.runtimes.swarm.creation import Creation, Tools
from sagespec.runtimes.swarm.doctor import Doctor
from sagespec.runtimes.swarm.events import changes
from sagespec.runtimes.swarm.files import Files, elsewhere
from sagespec.runtimes.swarm.gpus import Gpus
from sagespec.runtimes.swarm.images import SwarmImages
from sagespec.runtimes.swarm.inventory import Inventory
from sagespec.runtimes.swarm.life import Life
from sagespec.runtimes.swarm.logs import LOOK_EVERY_SECONDS, service_lines
from sagespec.runtimes.swarm.looks import OneLook
from sagespec.runtimes.swarm.networks import Networks
from sagespec.runtimes.swarm.probing import remove_probes
from sagespec.runtimes.swarm.reading import Service
from sagespec.runtimes.swarm.registry import Registry
from sagespec.runtimes.swarm.secrets import Secrets
from sagespec.runtimes.swarm.staging import Staging
from sagespec.runtimes.swarm.volumes import SwarmVolumes
from sagespec.state.labels import LABEL_SECRETS
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container, ContainerState, NodeCapacity
from sagespec.state.programs import Builtin, Program

__all__ = ["SwarmRuntime"]

COURIER = Builtin("courier")
_CAPACITY_SECONDS = 5.0  # nodes come and go


class SwarmRuntime:
    """Containers, files and logs of one project in one Swarm. Safe to use from several threads.

    registry: where images go, for all nodes. managers: further addresses of the Swarm's API. own_images: the folder
    with the program of couriers, if not `images`. The rest as for Docker.
    """

    name = "swarm"
    runs_images = True

    def __init__(
        self,
        project_name: str,
        images: Path,
        root: Path = Path(),
        marks: Callable[[], Mapping[str, str]] = dict,
        open_secret: Open = no_secrets,
        *,
        registry: str,
        managers: Sequence[str] = (),
        own_images: Path | None = None,
    ) -> None:
        self._open_secret, self._project_name = open_secret, project_name
        self._engine = connect()
        self.calls: Mapping[str, int] = self._engine.calls
        self._cluster = Cluster(self._engine, managers)
        with refusals("find its Swarm"):
            try:
                self._node, swarm_id = own_node(self._engine), self._cluster.id()
            except BaseException:
                self.__exit__()
                raise
        self.where = f"the Swarm {swarm_id}"  # the same through each of its managers
        self.engine = f"the Swarm of the engine at {engine_address()} answers (API {self._engine.api_version})"
        self._capacity, self._capacity_until = Capacity(0, 0), 0.0
        self._courier_image = ""
        self._making_courier = threading.Lock()
        self._inventory = Inventory(self._cluster, project_name)
        self._looks = OneLook(self._inventory.all, LOOK_EVERY_SECONDS)
        place = Registry(self._engine, registry)
        bakery = Bakery(self._engine, place, swarm_id)
        self._images = SwarmImages(self._engine, images, root, place, swarm_id)
        self._own_images = SwarmImages(self._engine, own_images or images, root, place, swarm_id)
        self._staging = Staging(self._engine, project_name, self._image_of_courier)
        self._couriers = Couriers(self._engine, self._cluster, project_name, self._image_of_courier, place.login_for)
        self._files = Files(self._engine, self._node, self._staging, self._couriers)
        self._networks = Networks(self._cluster, project_name)
        self._secrets = Secrets(self._cluster, project_name)
        self.volumes = SwarmVolumes(project_name, self._upload, self._staging, self._images, bakery)
        tools = Tools(
            engine=self._engine,
            cluster=self._cluster,
            inventory=self._inventory,
            images=self._images,
            registry=place,
            couriers=self._couriers,
            staging=self._staging,
            networks=self._networks,
            secrets=self._secrets,
            gpus=Gpus(self._cluster, project_name),
            marks=marks,
            open_secret=open_secret,
            capacity=self.capacity,
        )
        self._creation = Creation(tools, project_name)
        self._doctor = Doctor(self._cluster, self._own_images, place, project_name, len(managers))
        self._life = Life(tools, bakery)

    @property
    def is_local(self) -> bool:
        return engine_address().startswith("unix://")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._cluster.close()
        self._engine.close()

    def move_to(self, root: Path) -> None:
        self._images.move_to(root)

    # -- what is there -----------------------------------------------------------------------------

    def containers(self) -> tuple[Container, ...]:
        with refusals("list the containers"):
            found = [service.container() for service in self._inventory.all().values()]
        return tuple(container for container in found if container)

    def inspect(self, name: str) -> Container | None:
        with refusals(f"inspect {name}"):
            service = self._inventory.find(name)
        return service.container() if service else None

    def look(self, names: Collection[str]) -> Mapping[str, Container | None]:
        """Two lists, however many they are."""
        if not names:
            return {}
        with refusals("list the containers"):
            there = self._inventory.all()
        return {name: there[name].container() if name in there else None for name in names}

    def end_seen(self, name: str) -> EndSeen:
        """Of a job: whether the courier beside it has run since before its start, as what ends an engine or a node ends
        both."""
        with refusals(f"ask for the end of {name}"):
            service = self._inventory.find(name)
        is_over = service is not None and service.state is ContainerState.EXITED
        return "watched" if service is not None and is_over and service.has_seen_end else "unsure"

    # -- programs ----------------------------------------------------------------------------------

    def check(self, use: Use) -> None:
        self._images.check(use.program)

    def prepare(self, program: Program, tell: Tell) -> str:
        return self._images.prepare(program, tell)

    def images(self) -> tuple[ImageInfo, ...]:
        return self._images.infos()

    def built_images(self) -> tuple[ImageInfo, ...]:
        return self._images.built()

    def reference_of(self, program: Program) -> str:
        return self._images.reference(program)

    def remove_image(self, reference: str) -> bool:
        return self._images.remove(reference)

    def digests_of(self, program: Program) -> frozenset[str]:
        return self._images.digests(program)

    def image_of(self, program: Program) -> str:
        return self._images.now(program)

    def has_image(self, image: str) -> bool:
        return self._images.has(image)

    def capacity(self) -> Capacity:
        if time.monotonic() > self._capacity_until:
            with refusals("say what it has"):
                nodes = self._cluster.nodes()
            found = [_capacity_of(node) for node in nodes if _takes_work(node)]
            self._capacity = Capacity.of(sorted(found, key=lambda node: node.name))  # managers list them by id
            self._capacity_until = time.monotonic() + _CAPACITY_SECONDS
        return self._capacity

    def mounts(self, folder: Path, witness: str) -> Literal["read-only", "links", ""]:  # noqa: ARG002
        """Other nodes have other folders."""
        return ""

    # -- life of a container -----------------------------------------------------------------------

    def create(self, launches: Sequence[Launch], tell: Tell = untold) -> None:
        with refusals(f"create {', '.join(launch.name for launch in launches)}"):
            self._creation.create(launches, tell)

    def start(self, name: str) -> Container:
        with refusals(f"start {name}"):
            return self._life.start(name)

    def start_again(self, name: str) -> bool:
        with refusals(f"start {name}"):
            return self._life.start_again(name)

    def stop(self, name: str, *, grace_seconds: float) -> None:
        self.stopping(name, grace_seconds=grace_seconds)()

    def stopping(self, name: str, *, grace_seconds: float) -> Callable[[], None]:
        with refusals(f"stop {name}"):
            stop = self._life.stopping(name, grace_seconds)

        def later() -> None:
            with refusals(f"stop {name}"):
                stop()

        return later

    def remove(self, name: str) -> None:
        with refusals(f"remove {name}"):
            self._life.remove(name)

    def destroy(self) -> None:
        with refusals("remove what the project has left"):
            for name in self._inventory.left_alone():
                self._couriers.remove(name)
            self._couriers.destroy()
            remove_probes(self._cluster, self._project_name)
            self._staging.remove_all()
            self._secrets.forget()
            self._networks.remove_all()
            self.volumes.remove_all()

    # -- files -------------------------------------------------------------------------------------

    def base_dir(self, name: str) -> str:  # noqa: ARG002  # the same in every container
        return BASE

    def put(self, name: str, path: str, source: Path) -> None:
        with refusals(f"copy {source} into {name}"):
            self._files.put(self._inventory.need(name), path, source)

    def write(self, name: str, files: Mapping[str, bytes], *, private: bool = False) -> None:
        with refusals(f"write files in {name}"):
            self._files.write(self._inventory.need(name), files, private=private)

    def read(self, name: str, path: str, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        """None, too, of what serves and was started: it may be on any node, and has nobody beside it."""
        with refusals(f"read {path} in {name}"):
            return self._files.read(self._inventory.need(name), path, limit)

    def get(self, name: str, path: str) -> Iterator[bytes]:
        with refusals(f"copy {path} out of {name}"):
            yield from self._files.get(self._inventory.need(name), path)

    def _upload(self, container_id: str, members: Any) -> None:
        self._engine.put_archive(container_id, "/", tar(members))

    def _image_of_courier(self) -> str:
        """For all nodes, and on our engine."""
        with self._making_courier:
            if not self._courier_image:
                self._courier_image = self._own_images.fetch(self._own_images.prepared(COURIER, untold), untold)
            return self._courier_image

    # -- logs, requests, events --------------------------------------------------------------------

    def why_not_run(self, name: str) -> str:
        lines = list(self.logs(name, tail=LINES))
        if not may_be_kernels(lines):  # else its whole image would be fetched for nothing
            return ""
        with refusals(f"read the program of {name}"):
            service = self._inventory.find(name)
            if service is None:
                return ""
            image = self._images.fetch(service.image, untold)
            path = (service.entrypoint or self._engine.inspect_image(image)["Config"].get("Entrypoint") or [""])[0]
            return reason_of(lines, path, lambda file: self._staging.head_of(image, file))

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        for _, line in self._lines(name, follow=follow, tail=tail):
            yield line

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        for at, line in self._lines(name, follow=follow, tail=tail):
            yield seconds_of(at), line

    def _lines(self, name: str, *, follow: bool, tail: int | None) -> Iterator[tuple[bytes, str]]:
        with refusals(f"read the logs of {name}"):
            service = self._inventory.find(name)
            if service is None:
                return
            learn(service.labels.get(LABEL_SECRETS, "").split(), self._open_secret)
            service_id = service.id

            def look() -> Service | None:
                found = self._looks.now().get(name)
                return found if found is not None and found.id == service_id else None

            for at, line in service_lines(self._cluster, service, look, follow=follow, tail=tail):
                yield at, masked(line)

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        with refusals(f"ask the program in {name}"):
            service = self._inventory.need(name)
            if service.part != "pinned" or not service.container_id:
                raise WorldError(
                    f"{name} does not run on the engine that sagespec speaks to",
                    fix=f"`docker service ps --no-trunc {service.name}` shows where it runs, or why not",
                )
            if service.node != self._node:
                raise elsewhere(service)
            output, complaint = run(self._engine, service.container_id, requests_in_container(port, paths, post=post))
        if complaint:
            raise WorldError(
                f"{name} does not answer on port {port}: {complaint}",
                fix=f"see its log: docker service logs {service.name}",
            )
        return bodies_of(name, paths, output)

    def events(self) -> AbstractContextManager[Iterator[str]]:
        return changes(self._inventory)

    # -- doctor ------------------------------------------------------------------------------------

    def checks(self) -> tuple[Check, ...]:
        with refusals("say how its Swarm is"):
            return self._doctor.checks(self.capacity())


def _takes_work(node: Mapping[str, Any]) -> bool:
    return bool(node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active")


def _capacity_of(node: Mapping[str, Any]) -> NodeCapacity:
    description = node["Description"]
    resources = description["Resources"]
    cpus, memory = resources.get("NanoCPUs", 0) / 1e9, resources.get("MemoryBytes", 0)
    return NodeCapacity(str(description["Hostname"]), cpus, memory, tuple(sorted(_gpus(resources))))


def _gpus(resources: Mapping[str, Any]) -> list[str]:
    named = [one.get("NamedResourceSpec") or {} for one in resources.get("GenericResources") or ()]
    return [str(spec["Value"]) for spec in named if "gpu" in str(spec.get("Kind", "")).lower()]
