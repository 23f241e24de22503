"""Where bytes enter the couriers' network and leave it: a container on the engine that we speak to. Commands that speak
to other engines have porters of their own there, so none is moved away from another.

That engine is told to run a command in it (exec), whose input and output are the connection; so no port is published,
and a remote engine serves as well. The command is `carry` of images/courier. The token of the couriers is a secret of
the Swarm's, which only couriers and the porter can read.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from secrets import token_hex
from typing import Any

from docker.errors import APIError

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.carrying import Command
from sagespec.runtimes.swarm.cluster import Cluster, own_node
from sagespec.runtimes.swarm.names import LABEL_PART, service_name
from sagespec.state.labels import LABEL_PROJECT

STARTS_SECONDS = 120.0  # within which the porter runs: its image may have to be fetched
_LOOK_EVERY_SECONDS = 0.1
_TOKEN_AT = "courier_token"  # noqa: S105  # below /run/secrets
_PART = "porter"
_NODE_LETTERS = 12  # of a node's id in a name, as everywhere with Docker
_CONFLICT = 409
_GONE = 404
_LIMITS = {"MemoryBytes": 512 << 20, "Pids": 512}


class Porter:
    """The porter of one project. image: that of images/courier, by a name that every node can fetch it by. login: what
    nodes are to show its registry."""

    def __init__(
        self, engine: Any, cluster: Cluster, project_name: str, image: Callable[[], str], login: Callable[[str], str]
    ) -> None:
        self._engine, self._cluster, self._image, self._login = engine, cluster, image, login
        self._labels = {LABEL_PROJECT: project_name}
        self._own_name = service_name(project_name, "porter")
        self.name = ""  # with that of its node, once that is known
        self.network = f"{self._own_name}-net"
        self._token = f"{self._own_name}-token"
        self._setting_up = threading.Lock()
        self._container = ""

    # -- what is there -----------------------------------------------------------------------------

    def set_up(self) -> None:
        """Have the network, the token and the porter, running; a repeat is cheap."""
        with self._setting_up:
            if self._container:
                return
            self._cluster.make("secrets", self._token, self._labels, token_hex(32).encode())
            node_id = own_node(self._engine)
            self.name = f"{self._own_name}-{node_id[:_NODE_LETTERS]}"
            spec = self.spec(self.name, _PART, ["porter"], constraints=[f"node.id=={node_id}"])
            if not self.create(spec):
                self._renew(spec)
            self._container = self._running()

    def spec(
        self,
        name: str,
        part: str,
        command: Sequence[str],
        *,
        constraints: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        mounts: Sequence[Mapping[str, object]] = (),
        reservations: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """A service of one container of the courier's image, in the couriers' network."""
        return {
            "Name": name,
            "Labels": self._labels | {LABEL_PART: part},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": self._image(),
                    "Command": list(command),
                    "Env": [f"{variable}={value}" for variable, value in (environment or {}).items()],
                    "Labels": self._labels | {LABEL_PART: part},
                    "Mounts": list(mounts),
                    "Secrets": [self._secret()],
                    "CapabilityDrop": ["ALL"],
                    "CapabilityAdd": ["CAP_DAC_OVERRIDE", "CAP_FOWNER"],  # programs run as users of their own
                    "ReadOnly": True,
                    "Healthcheck": {"Test": ["NONE"]},
                    "StopGracePeriod": 2 * 10**9,
                },
                "RestartPolicy": {"Condition": "any", "Delay": 10**9},
                "Placement": {"Constraints": list(constraints)},
                "Resources": {"Limits": _LIMITS, "Reservations": dict(reservations or {})},
                "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m", "max-file": "2"}},
                "Networks": [{"Target": self.network}],
            },
            "Mode": {"Replicated": {"Replicas": 1}},
            "EndpointSpec": {"Mode": "dnsrr"},
        }

    def create(self, spec: Mapping[str, Any]) -> bool:
        """Make such a service; False when there is one."""
        image = spec["TaskTemplate"]["ContainerSpec"]["Image"]
        return self._cluster.create_service(spec, self._make_network, login=self._login(image))

    def _make_network(self) -> None:
        self._cluster.make_network({"Name": self.network, "Internal": True, "Labels": self._labels})

    def destroy(self) -> None:
        """Remove all porters, the token and the network; couriers are gone by then."""
        self._container = ""
        labels = self._labels | {LABEL_PART: _PART}
        for service in self._cluster.services(*(f"{label}={text}" for label, text in labels.items())):
            self._cluster.delete(f"/services/{service['ID']}")
        give_up_at = time.monotonic() + STARTS_SECONDS
        for path in (f"/secrets/{self._token}", f"/networks/{self.network}"):
            while True:
                try:
                    self._cluster.delete(path)
                    break
                except APIError:  # containers that are on their way out use it
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(_LOOK_EVERY_SECONDS)

    def _secret(self) -> dict[str, object]:
        found = self._cluster.get("/secrets", name=[self._token])
        secret_id = next((secret["ID"] for secret in found if secret["Spec"]["Name"] == self._token), "")
        if not secret_id:
            self._container = ""  # so all is made again when it is needed next
            raise WorldError(
                "the token of the couriers is gone from the Swarm",
                why="the project was destroyed meanwhile, by another command",
                fix="run the command again",
            )
        file = {"Name": _TOKEN_AT, "UID": "0", "GID": "0", "Mode": 0o400}
        return {"File": file, "SecretID": secret_id, "SecretName": self._token}

    def _renew(self, spec: Mapping[str, Any]) -> None:
        """An earlier release may have left another image."""
        image = spec["TaskTemplate"]["ContainerSpec"]["Image"]

        def change(found: dict[str, Any]) -> None:
            found["TaskTemplate"]["ContainerSpec"]["Image"] = image

        service = self._cluster.service(self.name)
        if service and service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] != image:
            self._cluster.change_service(service["ID"], change, login=self._login(image))

    def _running(self) -> str:
        """Its container. Our own engine knows it, without the managers."""
        give_up_at = time.monotonic() + STARTS_SECONDS
        filters = {"label": f"com.docker.swarm.service.name={self.name}", "status": "running"}
        while True:
            image = self._image()
            for row in self._engine.containers(filters=filters):
                if row["Image"] == image or row["Image"].startswith(image):
                    return str(row["Id"])
            if time.monotonic() > give_up_at:
                raise WorldError(
                    f"the porter, through which files reach other nodes, does not run after {STARTS_SECONDS:g} s",
                    why=self._said(),
                    fix=f"`docker service ps --no-trunc {self.name}` shows why",
                )
            time.sleep(_LOOK_EVERY_SECONDS)

    def _said(self) -> str:
        service = self._cluster.service(self.name)
        tasks = self._cluster.tasks_of(service["ID"]) if service else []
        newest = max(tasks, key=lambda task: str(task["CreatedAt"]), default=None)
        return str(newest["Status"].get("Err") or newest["Status"]["State"]) if newest else ""

    # -- requests ----------------------------------------------------------------------------------

    @contextmanager
    def carry(
        self, verb: str, url: str, *, name: str, address: str, patience: float, body: Iterable[bytes] = ()
    ) -> Iterator[http.client.HTTPResponse]:
        """The courier's answer to a request, to be read before the end of the block. name: the courier's. patience: in
        seconds, with one that cannot be reached. Unreached when it was not."""
        command = ["carry", verb, url, name, address, f"{patience:g}"]
        with closing(Command(self._engine, self._enter(command))) as running:
            try:
                running.output.wait_connected(name)
                if verb == "PUT":
                    running.send(body)
                answer = http.client.HTTPResponse(running.as_socket(), method=verb)
                answer.begin()
                yield answer
            except (http.client.HTTPException, OSError) as error:
                said = running.output.said or (str(error) if isinstance(error, OSError) else "its node may be lost")
                raise WorldError(f"the copy broke off: {said}", fix="try again") from error

    def _enter(self, command: Sequence[str]) -> str:
        """The command, to be started in the porter's container; in its successor if that is gone."""
        for _ in range(2):
            self.set_up()
            try:
                return str(self._engine.exec_create(self._container, list(command), stdin=True)["Id"])
            except APIError as error:
                if error.status_code not in (_CONFLICT, _GONE):  # it has ended
                    raise
                self._container = ""
        raise WorldError(
            "the porter, through which files reach other nodes, ends again and again",
            why=self._said(),
            fix=f"`docker service ps --no-trunc {self.name}` shows each end",
        )
