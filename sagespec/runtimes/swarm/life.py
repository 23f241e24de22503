"""Starts, stops and removes what was created. Each waits until the Swarm has done it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from docker.errors import APIError, NotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import NO_PROGRAM
from sagespec.runtimes.docker.unrun import no_program
from sagespec.runtimes.protocol import CannotStart, PortTaken
from sagespec.runtimes.swarm.bake import Bakery, marks_of
from sagespec.runtimes.swarm.creation import Tools
from sagespec.runtimes.swarm.inventory import NODE_SECONDS
from sagespec.runtimes.swarm.names import LABEL_CONTAINER, LABEL_VOLUMES
from sagespec.runtimes.swarm.reading import ENDED, Service, state_of
from sagespec.runtimes.swarm.registry import not_on_node
from sagespec.runtimes.swarm.services import started, stopped
from sagespec.state.labels import LABEL_MODEL, LABEL_PROJECT
from sagespec.state.observed import Container, ContainerState

STARTS_SECONDS = 3600.0  # its image may have to be fetched
GONE_SECONDS = 20.0  # beyond its grace
_LOOK_EVERY_SECONDS = 0.1
_NANO = 1_000_000_000
_TAKEN = re.compile("port is already allocated|address already in use|host-mode port already in use", re.IGNORECASE)
_FIX_OF_WAITING = "`docker node ls` shows the nodes; end other work, or ask for less in resources"
_FIX_OF_BOUND = "`docker node ls` shows whether that node is ready and active; if it is, end other work there"
_NO_IMAGE = re.compile("no such image", re.IGNORECASE)


@dataclass(frozen=True)
class Life:
    tools: Tools
    bakery: Bakery

    # -- start -------------------------------------------------------------------------------------

    def start(self, name: str) -> Container:
        service = self.tools.inventory.need(name)
        if service.state in (ContainerState.RUNNING, ContainerState.RESTARTING):
            return self._container(service)
        return self._start(service)

    def start_again(self, name: str) -> bool:
        service = self.tools.inventory.find(name)
        if service is None or service.state is not ContainerState.EXITED:
            return False
        return self._begin(service)

    def _start(self, service: Service) -> Container:
        image = ""
        if service.part == "serving" and service.state is ContainerState.CREATED:
            image = self._baked(service)
        if not self._begin(service, image):
            raise _vanished(service)
        found = self._await_start(service.container_name, service.id)
        if service.part == "serving":
            self._forget_staging(service)
        return self._container(found)

    def _begin(self, service: Service, image: str = "") -> bool:
        start = int(service.spec["TaskTemplate"].get("ForceUpdate") or 0) + 1
        used = image or service.image
        login = self.tools.registry.login_for(used)
        return self.tools.cluster.change_service(service.id, lambda spec: started(spec, start, image), login=login)

    def _baked(self, service: Service) -> str:
        program = service.image
        if not self.tools.staging.has(service.name):
            raise WorldError(
                f"the files of {service.container_name} were removed from the engine before it could start",
                fix="run the command again: it puts them there once more",
            )
        return self.bakery.bake(
            program,
            lambda: self.tools.staging.members(service.name),
            lambda _: None,
            labels=marks_of(service.labels[LABEL_PROJECT], service.labels.get(LABEL_MODEL, "")),
        )

    def _forget_staging(self, service: Service) -> None:
        volumes = self.tools.staging.volumes(service.name)
        self.tools.staging.remove(service.name)
        self._remove_volumes_here(volumes)

    def _await_start(self, name: str, service_id: str) -> Service:
        """Until it runs, or has ended, or cannot be started."""
        began = time.monotonic()
        while True:
            service = self.tools.inventory.find(name)
            if service is None or service.id != service_id:
                raise _vanished_name(name)
            task = service.newest
            if task is not None and state_of(task) in ENDED:
                self._check_ended(service)
                return service
            if task is not None and state_of(task) == "running":
                return service
            waited = time.monotonic() - began
            if (said := service.waits_because) and not service.is_stopped:
                if _TAKEN.search(said):
                    self._give_up(service)
                    raise _port_taken(service, said)
                if waited > NODE_SECONDS:
                    bound = service.node
                    self._give_up(service)
                    raise WorldError(
                        f"no node of the cluster takes {name}: {said}",
                        why=f"tried for {waited:.0f} s" + (f", on {self._node(bound)} alone" if bound else ""),
                        fix=_FIX_OF_BOUND if bound else _FIX_OF_WAITING,
                    )
            if service.has_ended:  # it was stopped meanwhile, or its node is lost
                return service
            if waited > STARTS_SECONDS:
                self._give_up(service)
                raise WorldError(
                    f"{name} has not started within {STARTS_SECONDS:g} s",
                    fix=f"`docker service ps --no-trunc {service.name}` shows what it waited for",
                )
            time.sleep(_LOOK_EVERY_SECONDS)

    def _check_ended(self, service: Service) -> None:
        """Raise if its program never ran."""
        task = service.runs[-1]
        status = task["Status"]
        said = str(status.get("Err") or "")
        if re.search(NO_PROGRAM, said, re.IGNORECASE):
            self._give_up(service)
            raise CannotStart(no_program(said) or said)
        if _TAKEN.search(said):
            self._give_up(service)
            raise _port_taken(service, said)
        if state_of(task) == "rejected" or not (status.get("ContainerStatus") or {}).get("ContainerID"):
            self._give_up(service)
            node = self._node(str(task["NodeID"]))
            if _NO_IMAGE.search(said):
                raise not_on_node(service.image, node, said)
            raise WorldError(
                f"the node {node} could not start {service.container_name}: {said}",
                fix=f"`docker service ps --no-trunc {service.name}` shows each try; the log of its engine says more",
            )

    def _node(self, node_id: str) -> str:
        names = {str(node["ID"]): str(node["Description"]["Hostname"]) for node in self.tools.cluster.nodes()}
        return names.get(node_id, node_id)

    def _give_up(self, service: Service) -> None:
        """It is not to be tried again and again."""
        self.tools.cluster.change_service(service.id, stopped)

    def _container(self, service: Service) -> Container:
        container = service.container()
        if container is None:
            raise _vanished(service)
        return container

    # -- stop --------------------------------------------------------------------------------------

    def stopping(self, name: str, grace_seconds: float) -> Callable[[], None]:
        service = self.tools.inventory.find(name)

        def stop() -> None:
            if service is not None:  # by its id, which no other one can get
                self._stop(service, grace_seconds)

        return stop

    def _stop(self, service: Service, grace_seconds: float) -> None:
        now = self.tools.inventory.find(service.container_name)
        if now is None or now.id != service.id or now.state in (ContainerState.CREATED, ContainerState.EXITED):
            return
        if not self.tools.cluster.change_service(service.id, stopped):
            return
        give_up_at = time.monotonic() + max(grace_seconds, _grace(service)) + GONE_SECONDS
        while now is not None and now.id == service.id and not now.has_ended:
            if time.monotonic() > give_up_at:
                raise WorldError(
                    f"{service.container_name} has not ended, {GONE_SECONDS:g} s after its grace",
                    fix=f"`docker service ps --no-trunc {service.name}` shows its state",
                )
            time.sleep(_LOOK_EVERY_SECONDS)
            now = self.tools.inventory.find(service.container_name)

    # -- remove ------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        service, tools = self.tools.inventory.find(name), self.tools
        service_name = tools.inventory.name_of(name)
        if service is not None:
            tools.cluster.delete(f"/services/{service.id}")
            self._await_gone(service)
        shared = service.labels.get(LABEL_VOLUMES, "").split() if service else []
        if service is None or service.part == "job":
            self._remove_courier(service_name, service)
            self._is_held(service_name)  # if its courier is slow to go: it is empty, and `destroy` takes it
            self._remove_volumes_here(self._unused(shared))
            tools.networks.remove_unused(service.job_networks if service else ())
        elif service.part == "serving":
            self._forget_staging(service)
            tools.gpus.give_back(service_name)
        else:
            tools.staging.remove(service_name)
            self._remove_volumes_here([service_name])
        tools.secrets.forget(name)

    def _await_gone(self, service: Service) -> None:
        """Until its programs have ended: they could still write. What runs on a lost node is not waited for."""
        lost = self.tools.inventory.lost_nodes() if service.placed else frozenset()
        label = f"{LABEL_CONTAINER}={service.container_name}"
        give_up_at = time.monotonic() + _grace(service) + GONE_SECONDS
        while time.monotonic() < give_up_at:
            tasks = [task for task in self.tools.cluster.tasks(label) if task["ServiceID"] == service.id]
            if not any(task.get("NodeID") not in lost and state_of(task) not in ENDED for task in tasks):
                return
            time.sleep(_LOOK_EVERY_SECONDS)

    def _remove_courier(self, service_name: str, service: Service | None) -> None:
        """With the files: a volume of another node can only be emptied."""
        couriers = self.tools.couriers
        if service is None:
            couriers.remove(service_name)
            return
        if service.node not in self.tools.inventory.lost_nodes():
            unused = self._unused(service.labels.get(LABEL_VOLUMES, "").split())
            paths = [path for path, volume in service.named_volumes.items() if volume in unused]
            for path in ["", *paths]:
                with suppress(WorldError):  # it is removed all the same, and emptied when the next one comes
                    couriers.empty(service_name, path)
        couriers.remove(service_name)

    def _unused(self, volumes: list[str]) -> list[str]:
        """Those that no container names any more."""
        used = (
            {
                volume
                for service in self.tools.inventory.all().values()
                for volume in service.labels.get(LABEL_VOLUMES, "").split()
            }
            if volumes
            else set()
        )
        return [volume for volume in volumes if volume not in used]

    def _remove_volumes_here(self, volumes: list[str]) -> None:
        """Where they are on our own engine; one that a container has stays."""
        for volume in volumes:
            give_up_at = time.monotonic() + GONE_SECONDS
            while self._is_held(volume):  # by a container that is on its way out
                if time.monotonic() > give_up_at:
                    return
                time.sleep(_LOOK_EVERY_SECONDS)

    def _is_held(self, volume: str) -> bool:
        try:
            self.tools.engine.remove_volume(volume)
        except NotFound:
            return False
        except APIError as error:
            if error.status_code != 409:
                raise
            return True
        return False


def _grace(service: Service) -> float:
    return float(service.spec["TaskTemplate"]["ContainerSpec"].get("StopGracePeriod") or 0) / _NANO


def _port_taken(service: Service, said: str) -> PortTaken:
    port = service.published
    return PortTaken(
        f"port {port} of the engine's node is in use: {said}",
        why="another container or program listens there",
        fix="stop it, or set gateway.port in sagespec.yaml, or below `project` in the environment's file",
    )


def _vanished(service: Service) -> WorldError:
    return _vanished_name(service.container_name)


def _vanished_name(name: str) -> WorldError:
    return WorldError(f"container {name} disappeared while it was being started", fix="run the command again")
