"""What every node says when it is asked to run something: for `sagespec doctor`.

One task of a global service on each, from the image of couriers, which the project has in its registry: so a node that
answers can pull from there. Each task meets those of the others in a network of their own, which shows that the ports
between the nodes are open.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
from docker.errors import DockerException, NotFound

from sagespec.runtimes.docker.logs import asked_for, read_frames
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.reading import ENDED, state_of
from sagespec.state.labels import LABEL_PROJECT

PATIENCE_SECONDS = 60.0  # a node may have to pull the image
_MEETS_SECONDS = 10  # within which a task looks for the others
_LOG_SECONDS = 5.0
_EVERY_SECONDS = 0.3
_GONE_SECONDS = 15.0

PROBE = f"""
import json, socket, sys, threading, time

def accept():
    while True:
        server.accept()[0].close()

name, wanted = sys.argv[1], int(sys.argv[2])
server = socket.create_server(("", 8080), backlog=64)
threading.Thread(target=accept, daemon=True).start()
met, end = set(), time.monotonic() + {_MEETS_SECONDS}
while len(met) < wanted and time.monotonic() < end:
    try:
        found = {{one[4][0] for one in socket.getaddrinfo(name, 8080, socket.AF_INET, socket.SOCK_STREAM)}}
    except OSError:
        found = set()
    for address in found - met:
        try:
            socket.create_connection((address, 8080), 1).close()
            met.add(address)
        except OSError:
            pass
    time.sleep(0.1)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({{"clock": time.time(), "met": len(met), "gains": status["NoNewPrivs"].strip() == "0"}}), flush=True)
time.sleep(600)  # the others look for it
"""


@dataclass(frozen=True)
class Answer:
    """Of one node. met: how many tasks it reached, its own among them. apart: seconds between its clock and ours, as
    far as the way of the answer lets that be known. gains: whether programs may gain privileges there. why_not: it
    could not run the task."""

    met: int = 0
    apart: float = 0.0
    gains: bool = False
    why_not: str = ""


def ask_nodes(cluster: Cluster, project_name: str, image: str, count: int, *, login: str = "") -> Mapping[str, Answer]:
    """What the nodes say, by their ids; nothing of those that did not say anything in time. count: that take work."""
    name = f"ss-doctor-{secrets.token_hex(4)}"
    labels = {LABEL_PROJECT: project_name}
    cluster.post("/networks/create", {"Name": name, "Driver": "overlay", "Labels": labels})
    try:
        cluster.create_service(_service(name, labels, image, count), login=login)
        return _answers(cluster, name, count)
    finally:
        cluster.delete(f"/services/{name}")
        _remove_network(cluster, name)


def _service(name: str, labels: Mapping[str, str], image: str, count: int) -> Mapping[str, Any]:
    container = {
        "Image": image,
        "Command": ["python3", "-c", PROBE, name, str(count)],
        "CapabilityDrop": ["ALL"],
        "StopSignal": "SIGKILL",
        "Labels": dict(labels),
    }
    return {
        "Name": name,
        "Labels": dict(labels),
        "Mode": {"Global": {}},
        "EndpointSpec": {"Mode": "dnsrr"},
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": {"Condition": "none"},
            "Networks": [{"Target": name}],
        },
    }


def _answers(cluster: Cluster, name: str, count: int) -> Mapping[str, Answer]:
    found: dict[str, Answer] = {}
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count and time.monotonic() < give_up_at:
        for task in cluster.get("/tasks", service=[name]):
            node_id = str(task.get("NodeID") or "")
            if not node_id or node_id in found:
                continue
            if state_of(task) in ENDED:
                found[node_id] = Answer(why_not=str(task["Status"].get("Err") or f"its task is {state_of(task)}"))
            elif state_of(task) == "running" and (said := _said(cluster, str(task["ID"]))):
                found[node_id] = Answer(said["met"], abs(said["clock"] - time.time()), said["gains"])
        time.sleep(_EVERY_SECONDS)
    return found


def _said(cluster: Cluster, task_id: str) -> Mapping[str, Any]:
    with suppress(NotFound, ValueError, requests.RequestException):
        with cluster.stream(
            f"/tasks/{task_id}/logs", timeout=_LOG_SECONDS, **asked_for(follow=False, tail=None, since=0)
        ) as response:
            text = b"".join(frame.data for frame in read_frames(response.iter_content(None)))
        said: Mapping[str, Any] = json.loads(text[text.index(b"{") :])
        return said
    return {}


def _remove_network(cluster: Cluster, name: str) -> None:
    """Once its last task has let go of it."""
    give_up_at = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < give_up_at:
        with suppress(DockerException):
            cluster.delete(f"/networks/{name}")
            return
        time.sleep(_EVERY_SECONDS)
