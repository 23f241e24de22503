"""Where bytes enter the couriers' network and leave it: a container on the engine that we speak to.

That engine is told to run a command in it (exec), whose input and output are the connection; so no port is published,
and a remote engine serves as well. The command is `carry` of images/courier. The token of the couriers is a secret of
the Swarm's, which only couriers and the porter can read.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import requests
from docker.errors import APIError

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import ANSWER_SECONDS
from sagespec.runtimes.swarm.cluster import Cluster, own_node
from sagespec.runtimes.swarm.names import LABEL_PART, service_name
from sagespec.state.labels import LABEL_PROJECT

PIECE_BYTES = 1 << 18
STARTS_SECONDS = 120.0  # within which the porter runs: its image may have to be fetched
_LOOK_EVERY_SECONDS = 0.1
_TOKEN_AT = "courier_token"  # noqa: S105  # below /run/secrets
_CONFLICT = 409
_GONE = 404
_STDERR = 2
_MOST_COMPLAINTS = 2000
_LIMITS = {"MemoryBytes": 512 << 20, "Pids": 512}


class Unreached(WorldError):
    """The courier was not reached; nothing has been asked of it."""


class Porter:
    """The porter of one project. image: that of images/courier, by a name that every node can fetch it by."""

    def __init__(self, engine: Any, cluster: Cluster, project_name: str, image: Callable[[], str]) -> None:
        self._engine, self._cluster, self._image = engine, cluster, image
        self._labels = {LABEL_PROJECT: project_name}
        self.name = service_name(project_name, "porter")
        self.network = f"{self.name}-net"
        self._token = f"{self.name}-token"
        self._setting_up = threading.Lock()
        self._container = ""

    # -- what is there -----------------------------------------------------------------------------

    def set_up(self) -> None:
        """Have the network, the token and the porter, running; a repeat is cheap."""
        with self._setting_up:
            if self._container:
                return
            network = {"Name": self.network, "Driver": "overlay", "Internal": True, "CheckDuplicate": True}
            self._make("/networks/create", network | {"Labels": self._labels})
            token = base64.b64encode(token_hex(32).encode()).decode()
            self._make("/secrets/create", {"Name": self._token, "Labels": self._labels, "Data": token})
            spec = self.spec(self.name, "porter", ["porter"], constraints=[f"node.id=={own_node(self._engine)}"])
            if not self._cluster.create_service(spec):
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

    def destroy(self) -> None:
        """Remove the porter, the token and the network; couriers are gone by then."""
        self._container = ""
        self._cluster.delete(f"/services/{self.name}")
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

    def _make(self, path: str, what: Mapping[str, object]) -> None:
        try:
            self._cluster.post(path, what)
        except APIError as error:
            if error.status_code != _CONFLICT:  # it is there
                raise

    def _secret(self) -> dict[str, object]:
        found = self._cluster.get("/secrets", name=[self._token])
        secret_id = next(secret["ID"] for secret in found if secret["Spec"]["Name"] == self._token)
        file = {"Name": _TOKEN_AT, "UID": "0", "GID": "0", "Mode": 0o400}
        return {"File": file, "SecretID": secret_id, "SecretName": self._token}

    def _renew(self, spec: Mapping[str, Any]) -> None:
        """An earlier release may have left another image, or another engine have been ours."""
        wanted = spec["TaskTemplate"]

        def change(found: dict[str, Any]) -> None:
            found["TaskTemplate"]["ContainerSpec"]["Image"] = wanted["ContainerSpec"]["Image"]
            found["TaskTemplate"]["Placement"]["Constraints"] = wanted["Placement"]["Constraints"]

        service = self._cluster.service(self.name)
        if service is None:
            return
        there = service["Spec"]["TaskTemplate"]
        if (there["ContainerSpec"]["Image"], there["Placement"].get("Constraints")) != (
            wanted["ContainerSpec"]["Image"],
            wanted["Placement"]["Constraints"],
        ):
            self._cluster.change_service(service["ID"], change)

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
        with closing(_Command(self._engine, self._enter(command))) as running:
            try:
                running.wait_connected(name)
                if verb == "PUT":
                    running.send(body)
                answer = http.client.HTTPResponse(running.as_socket(), method=verb)
                answer.begin()
                yield answer
            except (http.client.HTTPException, OSError) as error:
                said = running.said or (str(error) if isinstance(error, OSError) else "its node may be lost")
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
        raise WorldError("the porter, through which files reach other nodes, ends again and again", why=self._said())


class _Command:
    """A command in a container: its input, and its output without the engine's frames."""

    def __init__(self, engine: Any, execution: str) -> None:
        # Not through the SDK's own method, which may lose the first bytes: it reads past a buffer that has them.
        self._response = engine.post(
            f"{engine.base_url}/v{engine.api_version}/exec/{execution}/start",
            json={"Tty": False, "Detach": False},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            stream=True,
            timeout=ANSWER_SECONDS,
        )
        if not self._response.ok and self._response.status_code != requests.codes.switching_protocols:
            raise APIError(self._response.text, response=self._response, explanation=self._response.text)
        stream = self._response.raw._fp.fp
        self._connection = getattr(stream, "channel", None) or stream.raw._sock  # the former over ssh
        self._connection.settimeout(ANSWER_SECONDS)
        self._output = _Output(stream)
        self._reader = io.BufferedReader(self._output, PIECE_BYTES)

    @property
    def said(self) -> str:
        """The last line of its complaints."""
        return self._output.complaints.decode(errors="replace").replace("+\n", "").strip().rpartition("\n")[2]

    def wait_connected(self, name: str) -> None:
        while not self._output.complaints.startswith(b"+\n"):
            if not self._output.next_frame():
                raise Unreached(f"{name} cannot be reached: {self.said or 'the porter ended'}")

    def send(self, body: Iterable[bytes]) -> None:
        try:
            for piece in body:
                if piece:
                    self._connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):  # it has its answer already, which says why
            pass

    def as_socket(self) -> Any:
        return SimpleNamespace(makefile=lambda _mode: self._reader)

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # which ends the command, if it has not ended
        self._response.close()


class _Output(io.RawIOBase):
    """Standard output; standard error is kept apart."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._left = stream, 0
        self.complaints = bytearray()

    def readable(self) -> bool:
        return True

    def next_frame(self) -> bool:
        """Whether there was one."""
        head = self._stream.read(8)
        if len(head) < 8:
            return False
        kind, size = struct.unpack(">BxxxL", head)
        if kind == _STDERR:
            said = self._stream.read(size)
            if said.strip():  # else it says only that it lives
                self.complaints += said[: max(0, _MOST_COMPLAINTS - len(self.complaints))]
        else:
            self._left = size
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            if not self.next_frame():
                return 0
        count = int(self._stream.readinto1(memoryview(buffer)[: self._left]))
        self._left = self._left - count if count else 0
        return count
