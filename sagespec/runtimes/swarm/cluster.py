"""Calls of the Swarm's own API, to whichever manager answers.

Managers choose another leader when they lose theirs: for up to half a minute nothing is answered then, and what runs
is not touched. So a call is tried again for a while, at each manager in turn.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from sagespec.errors import WorldError

PATIENCE_SECONDS = 75.0  # with managers that have no leader; the engine's own choice has taken 21 s, and 42 s to return
CALL_SECONDS = 30.0
_PAUSE_SECONDS = 0.5

_NO_LEADER = re.compile(
    "does not have a leader|rpc error|deadline exceeded|context canceled|raft|no elected|connection refused|"
    "transport is closing",
    re.IGNORECASE,
)
_NO_NETWORK = re.compile("network .* not found", re.IGNORECASE)
_GONE_SECONDS = 20.0
_OUT_OF_SEQUENCE = "update out of sequence"
_NO_MANAGER = re.compile("not a swarm manager|not part of a swarm", re.IGNORECASE)

Change = Callable[[dict[str, Any]], None]
Timeout = float | tuple[float, float | None]  # of all, or to connect and for each piece


class Cluster:
    """engine: our own, asked first if it is a manager. managers: addresses of further ones."""

    def __init__(
        self, engine: Any, managers: Sequence[str] = (), *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._engines: list[Any] = [engine]
        self._further = list(managers)
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()

    def close(self) -> None:
        for engine in self._engines[1:]:
            engine.close()

    # -- calls -------------------------------------------------------------------------------------

    def get(self, path: str, **filters: Sequence[str]) -> Any:
        params = {"filters": json.dumps({name: list(values) for name, values in filters.items()})} if filters else {}
        return self._call("GET", path, params=params).json()

    def post(self, path: str, body: Mapping[str, Any], *, login: str = "", **params: object) -> Any:
        """login: for the registry of the image that nodes are to get."""
        headers = {"X-Registry-Auth": login} if login else {}
        response = self._call("POST", path, params=params, json=body, headers=headers)
        return response.json() if response.text.strip() else None

    def delete(self, path: str) -> bool:
        """Whether it was there."""
        try:
            self._call("DELETE", path)
        except NotFound:
            return False
        return True

    def stream(self, path: str, *, timeout: Timeout, **params: object) -> Any:
        """An answer to be read piece by piece; closed by the caller."""
        return self._call("GET", path, params=params, stream=True, timeout=timeout)

    def id(self) -> str:
        """Of the Swarm itself. Engines name none while there is no leader, so that is waited for."""
        found = str(self.get("/swarm").get("ID") or "")
        if not found:
            raise WorldError("the Swarm does not tell its id", fix="`docker info` on a manager shows how it is")
        return found

    # -- services ----------------------------------------------------------------------------------

    def services(self, *labels: str) -> list[dict[str, Any]]:
        return list(self.get("/services", label=labels))

    def tasks(self, *labels: str) -> list[dict[str, Any]]:
        return list(self.get("/tasks", label=labels))

    def tasks_of(self, service_id: str) -> list[dict[str, Any]]:
        """None of one that is gone, though its last ones may be on their way out: the Swarm does not look for those."""
        try:
            return list(self.get("/tasks", service=[service_id]))
        except NotFound:
            return []

    def nodes(self) -> list[dict[str, Any]]:
        return list(self.get("/nodes"))

    def service(self, name_or_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.get(f"/services/{name_or_id}")
        except NotFound:
            return None
        return found

    def create_service(
        self, spec: Mapping[str, Any], networks: Callable[[], object] = tuple, *, login: str = ""
    ) -> bool:
        """False when there is one of that name already. networks: makes those that it is in, unless they are there. One
        that was just removed seems to be there for a moment."""
        give_up_at = time.monotonic() + _GONE_SECONDS
        while True:
            networks()
            try:
                self.post("/services/create", spec, login=login)
            except APIError as error:
                if error.status_code == requests.codes.conflict:
                    return False
                if not _NO_NETWORK.search(str(error.explanation)) or time.monotonic() > give_up_at:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return True

    def make(self, kind: Literal["secrets", "configs"], name: str, labels: Mapping[str, str], data: bytes) -> str:
        """Its id; '' when somebody else has that name. When an answer was lost, ours is there at the second try."""
        content = base64.b64encode(data).decode()
        try:
            return str(self.post(f"/{kind}/create", {"Name": name, "Labels": dict(labels), "Data": content})["ID"])
        except APIError as error:
            if error.status_code != requests.codes.conflict:
                raise
        specs = {str(found["ID"]): found["Spec"] for found in self.get(f"/{kind}", name=[name])}
        ours = (one for one, spec in specs.items() if (spec["Name"], spec.get("Labels")) == (name, dict(labels)))
        return next(ours, "")

    def make_network(self, spec: Mapping[str, Any]) -> None:
        """Unless there is one of that name."""
        try:
            self.post("/networks/create", {"Driver": "overlay", "CheckDuplicate": True, **spec})
        except APIError as error:
            if error.status_code != requests.codes.conflict:
                raise

    def change_service(self, service_id: str, change: Change, *, login: str = "") -> bool:
        """Change what the service is to be. The change may be made more than once: others may change it meanwhile, and
        an answer may be lost. False when the service is gone."""
        while True:
            service = self.service(service_id)
            if service is None:
                return False
            spec = service["Spec"]
            change(spec)
            try:
                self.post(f"/services/{service['ID']}/update", spec, login=login, version=service["Version"]["Index"])
            except NotFound:
                return False
            except APIError as error:
                if _OUT_OF_SEQUENCE not in str(error.explanation):
                    raise
            else:
                return True

    # -- the managers ------------------------------------------------------------------------------

    def _call(self, verb: str, path: str, *, timeout: Timeout = CALL_SECONDS, **options: Any) -> Any:
        give_up_at = time.monotonic() + self._patience_seconds
        while True:
            engine = self._engines[0]
            try:
                return self._ask(engine, verb, path, timeout=timeout, **options)
            except (APIError, requests.RequestException, DockerException) as error:
                if not _may_pass(error) or time.monotonic() > give_up_at:
                    raise
            self._turn_to_another(engine)
            time.sleep(_PAUSE_SECONDS)

    def _ask(self, engine: Any, verb: str, path: str, **options: Any) -> Any:
        url = f"{engine.base_url}/v{engine.api_version}{path}"
        response = engine.request(verb, url, **options)
        if response.ok:
            return response
        said = _said(response)
        response.close()
        kind = NotFound if response.status_code == requests.codes.not_found else APIError
        raise kind(said, response=response, explanation=said)

    def _turn_to_another(self, failed: Any) -> None:
        """Ask another one from here on: the one that failed goes to the end of the row."""
        with self._lock:
            if self._engines[0] is not failed:
                return
            while self._further:
                with suppress(DockerException, requests.RequestException, OSError):
                    address = self._further.pop(0)
                    self._engines.append(_engine_at(address, failed.api_version))
            self._engines = [*self._engines[1:], self._engines[0]]


def _engine_at(address: str, version: str) -> Any:
    """With the certificates that the environment names, as for our own."""
    where = docker.utils.kwargs_from_env(environment={**os.environ, "DOCKER_HOST": address})
    return docker.APIClient(**where, version=version, timeout=CALL_SECONDS, use_ssh_client=True)


def _may_pass(error: Exception) -> bool:
    """Whether the call may be answered in a while, or by another manager."""
    if isinstance(error, APIError):
        said = str(error.explanation or error)
        if _NO_MANAGER.search(said):
            return False
        return error.status_code >= requests.codes.server_error and bool(_NO_LEADER.search(said))
    return True


def _said(response: Any) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return str(response.text)


def own_node(engine: Any) -> str:
    """The id of the node whose engine this is; WorldError when it is in no Swarm, or is no manager."""
    swarm = engine.info().get("Swarm") or {}
    state = swarm.get("LocalNodeState")
    if state != "active":
        raise WorldError(
            f"the engine is in no Swarm (it says {state or 'nothing'})",
            fix="`docker swarm init` there, and `docker swarm join` on the other machines; or another runtime",
        )
    if not swarm.get("ControlAvailable"):
        raise WorldError(
            "the engine is a worker of its Swarm, and not a manager",
            why="services are made through a manager",
            fix="set DOCKER_HOST to a manager, or `docker node promote` this one there",
        )
    return str(swarm["NodeID"])
