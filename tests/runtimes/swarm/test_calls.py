"""What is asked of managers whose answers may be lost: an HTTP server made up here, which keeps what it is given."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker
import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.gpus import Gpus
from sagespec.runtimes.swarm.porter import Porter
from sagespec.runtimes.swarm.secrets import Secrets

CREATED = "2026-12-01T12:00:00.000000000Z"


@dataclass
class Manager:
    """kept: what it was given, by kind. loses: how many answers to what is made do not arrive."""

    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    loses: int = 0
    cluster: Cluster = field(init=False)

    def made(self, kind: str, spec: dict[str, Any]) -> tuple[int, Any]:
        there = self.kept.setdefault(kind, [])
        if any(one["Spec"]["Name"] == spec["Name"] for one in there):
            return 409, {"message": f"rpc error: code = AlreadyExists desc = {spec['Name']} already exists"}
        there.append({"ID": f"{kind}{len(there)}", "Spec": spec, "CreatedAt": CREATED})
        return 201, {"ID": there[-1]["ID"]}

    def found(self, kind: str, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        """Names by how they begin, labels by all that are asked for, as a Swarm does."""
        return [
            one
            for one in self.kept.get(kind, ())
            if any(one["Spec"]["Name"].startswith(name) for name in filters.get("name", [""]))
            and all(
                label in one["Spec"]["Labels"] or label in map("=".join, one["Spec"]["Labels"].items())
                for label in filters.get("label", ())
            )
        ]

    def removed(self, kind: str, object_id: str) -> None:
        self.kept[kind] = [one for one in self.kept[kind] if object_id not in (one["ID"], one["Spec"]["Name"])]


@contextmanager
def running(manager: Manager) -> Iterator[Manager]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            _, _, kind, _ = urlsplit(self.path).path.split("/")
            status, answer = manager.made(kind, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if manager.loses and status == 201:
                manager.loses -= 1
                self.close_connection = True
            else:
                self._say(status, answer)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            filters = json.loads(parse_qs(url.query).get("filters", ["{}"])[0])
            _, _, kind, *names = url.path.split("/")
            found = manager.found(kind, filters)
            named = [one for one in found if {one["ID"], one["Spec"]["Name"]} & set(names)]
            if not names:
                self._say(200, found)
            elif named:
                self._say(200, named[0])
            else:
                self._say(404, {"message": "not found"})

        def do_DELETE(self) -> None:
            _, _, kind, object_id = urlsplit(self.path).path.split("/")
            manager.removed(kind, object_id)
            self._say(200, None)

        def _say(self, status: int, answer: Any) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    engine = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.44")
    manager.cluster = Cluster(engine)
    try:
        yield manager
    finally:
        engine.close()
        server.shutdown()
        server.server_close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    with running(Manager()) as manager:
        yield manager


def test_a_secret_whose_answer_was_lost_is_kept_once(manager: Manager) -> None:
    manager.loses = 1
    kept = Secrets(manager.cluster, "acme").keep("churn", "ss-acme-1", {"token": b"x"})
    (found,) = manager.kept["secrets"]
    assert kept == {"token": (found["ID"], found["Spec"]["Name"])}


def test_a_gpu_whose_claim_was_not_answered_is_ours_and_that_of_another_is_not(manager: Manager) -> None:
    gpus = Gpus(manager.cluster, "acme")
    assert gpus.take("n1", ["0"], 1, "ss-acme-2") == ("0",)
    manager.loses = 2
    assert gpus.take("n1", ["0", "1", "2"], 2, "ss-acme-1") == ("1", "2")
    assert gpus.take("n1", ["0", "1", "2", "3"], 2, "ss-acme-3") == ()
    assert {(claim.gpu, claim.holder) for holder in "12" for claim in gpus.held(f"ss-acme-{holder}")} == {
        ("0", "ss-acme-2"),
        ("1", "ss-acme-1"),
        ("2", "ss-acme-1"),
    }
    assert gpus.held("ss-acme-3") == ()


class Engine:
    """Of one node, with the containers that its tasks have: no more than a porter asks it for."""

    def __init__(self, manager: Manager, node_id: str) -> None:
        self._manager, self._node_id = manager, node_id

    def info(self) -> dict[str, Any]:
        return {"Swarm": {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": self._node_id}}

    def containers(self, filters: dict[str, str]) -> list[dict[str, str]]:
        name = filters["label"].partition("=")[2]
        specs = [service["Spec"] for service in self._manager.kept.get("services", ())]
        return [
            {"Id": f"{name} on {self._node_id}", "Image": spec["TaskTemplate"]["ContainerSpec"]["Image"]}
            for spec in specs
            if spec["Name"] == name
            and spec["TaskTemplate"]["Placement"]["Constraints"] == [f"node.id=={self._node_id}"]
        ]


def porter(manager: Manager, node_id: str) -> Porter:
    return Porter(Engine(manager, node_id), manager.cluster, "acme", lambda: "lan:5000/courier@sha256:1", lambda _: "")


def test_a_token_that_is_gone_is_told_and_made_again(manager: Manager) -> None:
    found = porter(manager, "n1")
    found.set_up()
    manager.kept["secrets"].clear()
    with pytest.raises(WorldError, match="token of the couriers is gone"):
        found.spec("ss-acme-1-courier", "courier", ["courier"])
    found.set_up()
    assert found.spec("ss-acme-1-courier", "courier", ["courier"])["TaskTemplate"]["ContainerSpec"]["Secrets"]


def test_each_node_has_a_porter_of_its_own_and_all_are_removed(manager: Manager) -> None:
    """A command through one manager leaves that of a command through another alone."""
    first, second = porter(manager, "n1" * 12), porter(manager, "n2" * 12)
    for one in (first, second, porter(manager, "n1" * 12)):
        one.set_up()
    there = {found["Spec"]["Name"]: found["Spec"]["TaskTemplate"]["Placement"] for found in manager.kept["services"]}
    assert there == {
        first.name: {"Constraints": [f"node.id=={'n1' * 12}"]},
        second.name: {"Constraints": [f"node.id=={'n2' * 12}"]},
    }
    assert all(len(name) <= 63 for name in there)
    assert len(manager.kept["secrets"]) == len(manager.kept["networks"]) == 1
    others = {"Name": "ss-acme-1", "Labels": {"sagespec.project": "acme", "sagespec.part": "job"}}
    manager.made("services", others)
    porter(manager, "n3" * 12).destroy()
    assert [found["Spec"] for found in manager.kept["services"]] == [others]
    assert manager.kept["secrets"] == manager.kept["networks"] == []
