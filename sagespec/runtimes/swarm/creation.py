"""Makes containers: each a service that is not started, with its node, networks, files and secrets.

A job's courier comes first and holds what the job needs of a node, so that the Swarm chooses one; launches of one call
that name one volume are with the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from typing import Any

from docker.errors import NotFound

from sagespec.errors import WorldError
from sagespec.runtimes.machine import choose_gpus
from sagespec.runtimes.opened import Open, secret_files_of, variables_of
from sagespec.runtimes.protocol import Tell
from sagespec.runtimes.swarm.cluster import Cluster, own_node
from sagespec.runtimes.swarm.couriers import Couriers
from sagespec.runtimes.swarm.gpus import Gpus
from sagespec.runtimes.swarm.images import SwarmImages
from sagespec.runtimes.swarm.inventory import Inventory
from sagespec.runtimes.swarm.leavings import Leavings
from sagespec.runtimes.swarm.names import LABEL_VOLUMES, part_of
from sagespec.runtimes.swarm.networks import Networks
from sagespec.runtimes.swarm.registry import Registry
from sagespec.runtimes.swarm.secrets import Secrets
from sagespec.runtimes.swarm.services import Place, service_of
from sagespec.runtimes.swarm.staging import Staging
from sagespec.state.labels import LABEL_PROJECT
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity
from sagespec.state.programs import Builtin

_AT_ONCE = 8


@dataclass(frozen=True)
class Tools:
    """What containers are made with. marks: labels that they get beside their own, asked for when one is made.
    open_secret: what their secrets are opened with."""

    engine: Any
    cluster: Cluster
    inventory: Inventory
    images: SwarmImages
    registry: Registry
    couriers: Couriers
    staging: Staging
    networks: Networks
    secrets: Secrets
    gpus: Gpus
    marks: Callable[[], Mapping[str, str]]
    open_secret: Open
    capacity: Callable[[], Capacity]


class Creation:
    def __init__(self, tools: Tools, project_name: str) -> None:
        self._tools, self._project_name = tools, project_name
        self._leavings = Leavings(tools.inventory, tools.couriers, tools.secrets, tools.staging)
        self._without_files: set[str] = set()  # images that have none below /opt/ml

    def create(self, launches: Sequence[Launch], tell: Tell) -> None:
        self._leavings.sweep()
        there = self._tools.inventory.all()
        wanted = [launch for launch in launches if launch.name not in there]
        for launch in wanted:
            if launch.gpus > len(gpus := self._tools.capacity().gpus):
                choose_gpus(launch.gpus, gpus, {}, str(launch.address))
        jobs = [launch for launch in wanted if part_of(launch) == "job"]
        groups = list(_sharing(jobs))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda group: self._create_together(group, tell), groups):
                pass
        for launch in wanted:
            if part_of(launch) == "serving":
                self._create_serving(launch)
            elif part_of(launch) == "pinned":
                self._create_pinned(launch)

    # -- jobs --------------------------------------------------------------------------------------

    def _create_together(self, launches: Sequence[Launch], tell: Tell) -> None:
        """On one node, that of the volumes that they share, if these are somewhere."""
        node = self._node_of({mount.volume for launch in launches for mount in launch.mounts if mount.volume})
        for launch in launches:
            node = self._create_job(launch, node, tell)

    def _create_job(self, launch: Launch, node: str, tell: Tell) -> str:
        name = self._tools.inventory.name_of(launch.name)
        volumes = {mount.path: mount.volume for mount in launch.mounts if mount.volume}
        place = Place(node=node, volume=name, volumes=volumes)
        couriers = self._tools.couriers
        try:
            placed = couriers.place(
                name,
                name,
                cpus=launch.cpus,
                memory=launch.memory,
                gpus=launch.gpus,
                constraints=[f"node.id=={node}"] if node else [],
                mounts=volumes,
                about=str(launch.address),
                tell=lambda line: tell(f"{launch.address}: {line}"),
            )
            couriers.empty(name)  # an earlier container of this name may have left something on this node
            if not isinstance(launch.program, Builtin):
                self._put_own_files(launch, name)
            networks = self._tools.networks.of(launch)
            place = replace(place, node=placed.node_id, networks=networks, gpus=placed.gpu_ids)
            self._create(launch, place)
        except BaseException:
            if self._tools.cluster.service(name) is None:
                couriers.remove(name)
            raise
        return place.node

    def _put_own_files(self, launch: Launch, name: str) -> None:
        """What its image has where its volume hides it, such as code of the user's."""
        image = self._tools.images.fetch(self._made_from(launch), lambda _: None)
        if image not in self._without_files:
            if next(self._tools.staging.own_files(image), None) is None:
                self._without_files.add(image)
            else:
                self._tools.couriers.put(name, self._tools.staging.own_files(image))

    def _made_from(self, launch: Launch) -> str:
        return launch.image or self._tools.images.reference(launch.program)

    def _node_of(self, volumes: Iterable[str]) -> str:
        """Where one of these volumes is; '' when they are nowhere yet."""
        for service in self._tools.inventory.all().values():
            if service.node and set(volumes) & set(service.labels.get(LABEL_VOLUMES, "").split()):
                return service.node
        for volume in volumes:
            with suppress(NotFound):
                self._tools.engine.inspect_volume(volume)
                return own_node(self._tools.engine)
        return ""

    # -- what serves -------------------------------------------------------------------------------

    def _create_serving(self, launch: Launch) -> None:
        """Its files wait on our own engine until it is started: then they become a layer of its image."""
        name = self._tools.inventory.name_of(launch.name)
        volumes = {mount.path: mount.volume for mount in launch.mounts if mount.volume and self._has(mount.volume)}
        self._tools.staging.remove(name)
        self._tools.staging.make(name, volumes)
        node, gpus = self._with_gpus(launch, name) if launch.gpus else ("", ())
        self._create(launch, Place(node=node, gpus=gpus, networks=self._tools.networks.of(launch)))

    def _with_gpus(self, launch: Launch, name: str) -> tuple[str, Sequence[str]]:
        """A node, and GPUs of it that are its own: it stays with them."""
        self._tools.gpus.give_back(name)  # of a run that was killed
        for node, free in self._tools.gpus.nodes_with(launch.gpus, str(launch.address)).items():
            if ids := self._tools.gpus.take(node, free, launch.gpus, name):
                return node, ids
        raise WorldError(
            f"the GPUs that {launch.address} needs are not free any more",
            why="others were faster",
            fix="run the command again",
        )

    def _create_pinned(self, launch: Launch) -> None:
        if launch.publish and ip_address(launch.publish[0]).is_loopback:
            raise WorldError(
                f"a Swarm cannot publish on {launch.publish[0]} alone: it does so on all addresses of a node",
                why="everybody who reaches the node could ask",
                fix="set gateway.host in sagespec.yaml to an address of the node, with callers and their keys",
            )
        name = self._tools.inventory.name_of(launch.name)
        self._tools.engine.create_volume(name, labels={LABEL_PROJECT: self._project_name})
        self._tools.staging.make(name, {"": name})
        node, networks = own_node(self._tools.engine), self._tools.networks.of(launch)
        self._create(launch, Place(node=node, volume=name, networks=networks))

    def _has(self, volume: str) -> bool:
        with suppress(NotFound):
            self._tools.engine.inspect_volume(volume)
            return True
        return False

    def _create(self, launch: Launch, place: Place) -> None:
        tools, name = self._tools, self._tools.inventory.name_of(launch.name)
        made_from = self._made_from(launch)
        image = tools.images.for_nodes(made_from)
        files = secret_files_of(launch.environment, tools.open_secret)
        secrets = tools.secrets.keep(launch.name, name, files) if files else {}
        spec = service_of(
            launch,
            replace(place, secrets=secrets),
            project_name=self._project_name,
            name=name,
            image=image,
            made_from=made_from,
            marks=tools.marks(),
            variables=variables_of(launch.environment, tools.open_secret),
        )
        login, networks = tools.registry.login_for(image), partial(tools.networks.of, launch)
        if not tools.cluster.create_service(spec, networks, login=login):
            found = tools.cluster.service(name)
            if found and (found["Spec"].get("Labels") or {}).get(LABEL_PROJECT) != self._project_name:
                raise WorldError(
                    f"the name {name} is taken by a service outside project {self._project_name}",
                    fix=f"inspect it with `docker service inspect {name}`, then remove it",
                )


def _sharing(launches: Sequence[Launch]) -> Iterable[list[Launch]]:
    """Those that name a volume together, the others alone."""
    groups: list[tuple[set[str], list[Launch]]] = []
    for launch in launches:
        volumes = {mount.volume for mount in launch.mounts if mount.volume}
        found = next((group for group in groups if group[0] & volumes), None)
        if found is None:
            groups.append((volumes, [launch]))
        else:
            found[0].update(volumes)
            found[1].append(launch)
    return [group for _, group in groups]
