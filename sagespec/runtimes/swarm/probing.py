"""What every node says when it is asked to run something: for `sagespec doctor`.

One task of a global service on each, from the image of couriers, which the project has in its registry: so a node that
answers can pull from there. Each task meets those of the others in a network of their own, which shows that the ports
between the nodes are open. As some have to pull first, each looks for the others until it is removed, and says whenever
it has met one.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import requests
from docker.errors import DockerException, NotFound

from sagespec.runtimes.docker.logs import asked_for, read_frames
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.reading import ENDED, state_of
from sagespec.state.labels import LABEL_PROJECT

PATIENCE_SECONDS = 60.0  # a node may have to pull the image
MEETS_SECONDS = 10.0  # in which those that run meet, once there is nobody to wait for
_LOG_SECONDS = 5.0
_EVERY_SECONDS = 0.3
_GONE_SECONDS = 15.0
_NAME = "ss-doctor-"

PROBE = """
import json, socket, sys, threading, time

def accept():
    while True:
        server.accept()[0].close()

name, wanted = sys.argv[1], int(sys.argv[2])
server = socket.create_server(("", 8080), backlog=64)
threading.Thread(target=accept, daemon=True).start()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
gains = status["NoNewPrivs"].strip() == "0"
met, said, end = set(), -1, time.monotonic() + 600
while time.monotonic() < end:
    if len(met) != said:
        said = len(met)
        print(json.dumps({"clock": time.time(), "met": said, "gains": gains}), flush=True)
    if said >= wanted:
        time.sleep(1)  # the others look for it
        continue
    try:
        found = {one[4][0] for one in socket.getaddrinfo(name, 8080, socket.AF_INET, socket.SOCK_STREAM)}
    except OSError:
        found = set()
    for address in found - met:
        try:
            socket.create_connection((address, 8080), 1).close()
            met.add(address)
        except OSError:
            pass
    time.sleep(0.1)
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


class Answers:
    """What the nodes have said so far, by their ids. count: how many should."""

    def __init__(self, count: int) -> None:
        self.found: dict[str, Answer] = {}
        self._count, self._whole_at = count, 0.0

    def hear(self, node_id: str, said: Answer, now: float) -> None:
        """Of what a node says of its clock, what was heard soonest is the most right."""
        before = self.found.get(node_id, said)
        self.found[node_id] = replace(said, apart=min(said.apart, before.apart))
        if len(self.found) >= self._count and not self._whole_at:
            self._whole_at = now

    def has_said_all(self, node_id: str) -> bool:
        said = self.found.get(node_id)
        return said is not None and (bool(said.why_not) or said.met >= self._count)

    def are_all(self, now: float) -> bool:
        """Whether each has said all that it will: those that run have met, or have had time to."""
        if not self._whole_at:
            return False
        ran = [answer for answer in self.found.values() if not answer.why_not]
        return all(answer.met >= len(ran) for answer in ran) or now > self._whole_at + MEETS_SECONDS

    def may_come(self, began: float, now: float) -> bool:
        return bool(self._whole_at) or now < began + PATIENCE_SECONDS


def ask_nodes(cluster: Cluster, project_name: str, image: str, count: int, *, login: str = "") -> Mapping[str, Answer]:
    """What the nodes say, by their ids; nothing of those that did not say anything in time. count: that take work."""
    name = f"{_NAME}{secrets.token_hex(4)}"
    labels = {LABEL_PROJECT: project_name}
    cluster.make_network({"Name": name, "Labels": labels})
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
    answers, began = Answers(count), time.monotonic()
    while not answers.are_all(now := time.monotonic()) and answers.may_come(began, now):
        for task in cluster.get("/tasks", service=[name]):
            node_id = str(task.get("NodeID") or "")
            if node_id and not answers.has_said_all(node_id):
                if state_of(task) in ENDED:
                    why_not = str(task["Status"].get("Err") or f"its task is {state_of(task)}")
                    answers.hear(node_id, Answer(why_not=why_not), time.monotonic())
                elif state_of(task) == "running" and (said := _said(cluster, str(task["ID"]))):
                    answers.hear(node_id, said, time.monotonic())
        time.sleep(_EVERY_SECONDS)
    return answers.found


def _said(cluster: Cluster, task_id: str) -> Answer | None:
    """What it has said last."""
    with suppress(NotFound, ValueError, requests.RequestException):
        with cluster.stream(
            f"/tasks/{task_id}/logs", timeout=_LOG_SECONDS, **asked_for(follow=False, tail=None, since=0)
        ) as response:
            text = b"".join(frame.data for frame in read_frames(response.iter_content(None)))
        said: Mapping[str, Any] = json.loads(text[text.rindex(b"{") :])
        return Answer(said["met"], abs(said["clock"] - time.time()), said["gains"])
    return None


def remove_probes(cluster: Cluster, project_name: str) -> None:
    """Of those who were killed while they asked."""
    label = f"{LABEL_PROJECT}={project_name}"
    left = [str(service["Spec"]["Name"]) for service in cluster.services(label)]
    for name in left:
        if name.startswith(_NAME):
            cluster.delete(f"/services/{name}")
    for network in cluster.get("/networks", label=[label]):
        if network["Name"].startswith(_NAME):
            _remove_network(cluster, network["Name"])


def _remove_network(cluster: Cluster, name: str) -> None:
    """Once its last task has let go of it."""
    give_up_at = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < give_up_at:
        with suppress(DockerException):
            cluster.delete(f"/networks/{name}")
            return
        time.sleep(_EVERY_SECONDS)
