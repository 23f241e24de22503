"""Files of containers on other nodes: each has a courier, a service beside it with the same volume on the same node.

The courier is made first and holds what the container needs of its node (CPUs, memory, GPUs), so the Swarm's choice for
the courier is the choice for both. Then it stays there: on another node it would have an empty volume. It pulls and
pushes nothing; what it brings, and to whom, is decided here.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote

from docker.errors import NotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.files import BASE, Entry, contents, inside, tar
from sagespec.runtimes.protocol import READ_LIMIT_BYTES, NoRoom, Tell
from sagespec.runtimes.swarm.carrying import PIECE_BYTES, Unreached
from sagespec.runtimes.swarm.cluster import Cluster
from sagespec.runtimes.swarm.gpus import Gpus
from sagespec.runtimes.swarm.porter import Porter
from sagespec.state.labels import LABEL_PROJECT

PART = "courier"
NODE_SECONDS = 60.0  # with no node that has what is asked for
NEXT_NODE_SECONDS = 5.0  # until another node with GPUs is tried
STARTS_SECONDS = 600.0  # its image may have to be fetched
RETURNS_SECONDS = 30.0  # after its node's engine was started again
_LOOK_EVERY_SECONDS = 0.1
_PATIENCE_SECONDS = 75.0  # with one that runs, while nodes tell each other where: one that was away is asked each 60 s
_MOST_FAILURES = 3
_WAITING = ("new", "pending", "allocated")
_PATIENCE_WITH_KNOWN_SECONDS = 2.0  # at an address that may be out of date
LEAST_BYTES = 4 << 20  # of memory that the Swarm sets aside
_DONE, _NOTHING = 200, 404
_ANOTHER = 421  # the address is another courier's now
_FIXES = {
    400: "name a path below /opt/ml; if the request broke off, try again",
    401: "its token is not the project's any more: remove what it belongs to, and make that again",
    409: "a file is where a folder is to be, or the other way round: choose another path, or remove it",
    421: "its address has just become another courier's: try again",
    500: "try again",
    507: "free some space on its node: `docker system df` shows what uses it",
}


@dataclass(frozen=True)
class Placed:
    """Where a courier runs, and so its container. gpu_ids: those of the node that nobody else has."""

    node_id: str
    gpu_ids: tuple[str, ...] = ()


class Couriers:
    """The couriers of one project. `service` is the name of the container's own service throughout."""

    def __init__(
        self,
        engine: Any,
        cluster: Cluster,
        project_name: str,
        image: Callable[[], str],
        login: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._cluster, self._project_name = cluster, project_name
        self._gpus = Gpus(cluster, project_name)
        self.porter = Porter(engine, cluster, project_name, image, login)
        self._addresses: dict[str, str] = {}

    # -- life --------------------------------------------------------------------------------------

    def place(
        self,
        service: str,
        volume: str,
        *,
        cpus: float | None = None,
        memory: int | None = None,
        gpus: int = 0,
        constraints: Sequence[str] = (),
        mounts: Mapping[str, str] | None = None,
        about: str = "",
        tell: Tell = lambda _: None,
    ) -> Placed:
        """Have a courier with the volume, and what its container needs; where it runs. One that is there is left as it
        is. mounts: further volumes, by path below /opt/ml. about: what it is for, for people. NoRoom when no node has
        room within a minute."""
        self.porter.set_up()
        name = name_of(service)
        spec = self.porter.spec(
            name,
            PART,
            ["courier"],
            constraints=constraints,
            environment={"COURIER_NAME": name},
            mounts=[self._mount("", volume), *(self._mount(path, other) for path, other in (mounts or {}).items())],
            reservations=reservations(cpus, memory),
        )
        if not gpus or self._cluster.service(name):
            node_id = self._start(service, spec, tell, NODE_SECONDS, about)
            return Placed(node_id, tuple(sorted(claim.gpu for claim in self._gpus.held(name))) if gpus else ())
        self._gpus.give_back(name)  # of a run that was killed
        nodes = self._gpus.nodes_with(gpus, about or service)
        for node_id, free in nodes.items():
            ids = self._gpus.take(node_id, free, gpus, name) if bound_to(constraints) in (node_id, "") else ()
            if not ids:
                continue
            spec["TaskTemplate"]["Placement"]["Constraints"] = [*constraints, f"node.id=={node_id}"]
            is_last = node_id == list(nodes)[-1]
            try:
                seconds = NODE_SECONDS if is_last else NEXT_NODE_SECONDS
                return Placed(self._start(service, spec, tell, seconds, about), ids)
            except WorldError:
                if is_last:
                    raise
        raise WorldError(
            f"the GPUs that {about or service} needs are not free where it must be",
            why="others were faster, or it shares a volume with what runs on another node",
            fix="run the command again",
        )

    def _start(self, service: str, spec: Mapping[str, Any], tell: Tell, seconds: float, about: str) -> str:
        """The node on which it runs; NoRoom when none had room for so long."""
        self.porter.create(spec)
        try:
            node_id = str(self._placed(service, tell, seconds, about)["NodeID"])
        except BaseException:
            self.remove(service)
            raise
        self._stay(service, node_id)
        return node_id

    def remove(self, service: str) -> None:
        """The courier; its volume stays where it is, so that is emptied before."""
        self._addresses.pop(service, None)
        self._cluster.delete(f"/services/{name_of(service)}")
        self._gpus.give_back(name_of(service))

    def destroy(self) -> None:
        """Remove what the couriers had in common: none is left."""
        self.porter.destroy()

    def _mount(self, path: str, volume: str) -> dict[str, object]:
        options = {"NoCopy": True, "Labels": {LABEL_PROJECT: self._project_name}}
        return {"Type": "volume", "Source": volume, "Target": f"/{inside(path)}", "VolumeOptions": options}

    def _placed(self, service: str, tell: Tell, seconds: float, about: str) -> dict[str, Any]:
        """Its task, once that runs."""
        began, said = time.monotonic(), ""
        before = {task["ID"] for task in self._tasks(service)}  # tries of an earlier run do not count
        while True:
            tasks = self._tasks(service)
            if task := _newest(tasks, running=True):
                return task
            newest = _newest(tasks)
            waits_for = str(newest["Status"].get("Err", "")) if newest and newest["Status"]["State"] in _WAITING else ""
            if waits_for and waits_for != said:
                tell(f"waits for a node: {waits_for}")
            said, waited = waits_for, time.monotonic() - began
            failed = [t for t in tasks if t["Status"]["State"] in ("rejected", "failed") and t["ID"] not in before]
            if (said and waited > seconds) or waited > STARTS_SECONDS or len(failed) >= _MOST_FAILURES:
                reason = said or next((str(task["Status"].get("Err", "")) for task in failed), "it does not start")
                # What has a node and does not start there would not start later.
                raise (NoRoom if said else WorldError)(
                    f"no node of the cluster takes {about or service}: {reason}",
                    why=f"tried for {waited:.0f} s",
                    fix="`docker node ls` shows the nodes; end other jobs, or ask for less in resources",
                )
            time.sleep(_LOOK_EVERY_SECONDS)

    def _stay(self, service: str, node_id: str) -> None:
        """Bind it to its node. The Swarm leaves a task alone that is where it may be."""
        bound = f"node.id=={node_id}"

        def change(spec: dict[str, Any]) -> None:
            spec["TaskTemplate"]["Placement"]["Constraints"] = [bound]

        found = self._cluster.service(name_of(service))
        if found and found["Spec"]["TaskTemplate"]["Placement"].get("Constraints") != [bound]:
            self._cluster.change_service(found["ID"], change)

    def _tasks(self, service: str) -> list[dict[str, Any]]:
        try:
            return list(self._cluster.get("/tasks", service=[name_of(service)]))
        except NotFound:  # there is no such service
            return []

    # -- files -------------------------------------------------------------------------------------

    def put(self, service: str, members: Iterable[Entry]) -> None:
        """Unpack files and folders, named as docker/files.py does. Each file appears whole, one after the other."""
        self._addresses.pop(service, None)  # what is sent cannot be sent twice, so it goes to the right one
        with self._ask("PUT", service, "/tar?path=", tar(_below_base(members))):
            pass

    def write(self, service: str, files: Mapping[str, bytes], *, private: bool = False) -> None:
        mode = 0o600 if private else 0o644
        self.put(service, contents({inside(path): data for path, data in files.items()}, mode))

    def read(self, service: str, path: str, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        with self._ask("GET", service, f"/file?path={_quoted(path)}&limit={limit}") as answer:
            return None if answer.status == 404 else answer.read()

    def get(self, service: str, path: str) -> Iterator[bytes]:
        """A folder as a tar, of members relative to it."""
        with self._ask("GET", service, f"/tar?path={_quoted(path)}") as answer:
            while piece := answer.read1(PIECE_BYTES):
                yield piece

    def empty(self, service: str, path: str = "") -> None:
        """Remove all files of the volume that is mounted at `path`, and of no other."""
        with self._ask("DELETE", service, f"/tar?path={_quoted(path)}"):
            pass

    @contextmanager
    def _ask(self, verb: str, service: str, url: str, body: Iterable[bytes] = ()) -> Iterator[HTTPResponse]:
        """The courier's answer: 200, or 404."""
        with ExitStack() as stack:
            answer = self._answered(stack, verb, service, url, body)
            if answer.status not in (_DONE, _NOTHING):
                said = answer.read().decode(errors="replace")
                raise WorldError(
                    f"the courier {name_of(service)} refuses: {said or answer.status}",
                    fix=_FIXES.get(answer.status, ""),
                )
            yield answer

    def _answered(self, stack: ExitStack, verb: str, service: str, url: str, body: Iterable[bytes]) -> HTTPResponse:
        for is_last in (False, True):
            patience = _PATIENCE_SECONDS if is_last or service not in self._addresses else _PATIENCE_WITH_KNOWN_SECONDS
            address = self._address(service)
            try:
                carried = self.porter.carry(
                    verb, url, name=name_of(service), address=address, patience=patience, body=body
                )
                answer = stack.enter_context(carried)
                if is_last or answer.status != _ANOTHER:
                    return answer
            except Unreached:
                if is_last:
                    raise
            self._addresses.pop(service, None)
        raise AssertionError("unreachable")

    def _address(self, service: str) -> str:
        """Where it runs now. By number: a name that its network does not know yet costs five seconds."""
        if service in self._addresses:
            return self._addresses[service]
        give_up_at = time.monotonic() + RETURNS_SECONDS
        while True:
            tasks = self._tasks(service)
            if task := _newest(tasks, running=True):
                self._addresses[service] = address = _address_of(task, self.porter.network)
                return address
            if not tasks or time.monotonic() > give_up_at:
                newest = _newest(tasks)
                said = newest["Status"].get("Err") or newest["Status"]["State"] if newest else "it has no courier"
                raise WorldError(
                    f"the files of {service} cannot be reached: {said}",
                    why="its node is away, or its engine is being started",
                    fix="`docker node ls` shows the nodes",
                )
            time.sleep(_LOOK_EVERY_SECONDS)


def name_of(service: str) -> str:
    return f"{service}-courier"


def reservations(cpus: float | None, memory: int | None) -> dict[str, int]:
    """What the Swarm sets aside on a node, as its API has it. GPUs are not among it: see gpus.py."""
    least = max(memory or 0, LEAST_BYTES)
    return ({"NanoCPUs": round(cpus * 1e9)} if cpus else {}) | ({"MemoryBytes": least} if memory else {})


def bound_to(constraints: Sequence[str]) -> str:
    """The id of the one node that they allow; '' if they name none."""
    found = (re.fullmatch(r"node\.id\s*==\s*(\w+)", constraint) for constraint in constraints)
    return next((match[1] for match in found if match), "")


def _newest(tasks: Sequence[dict[str, Any]], *, running: bool = False) -> dict[str, Any] | None:
    """running: of those that run, and are to run."""
    found = [
        task for task in tasks if not running or (task["Status"]["State"], task["DesiredState"]) == ("running",) * 2
    ]
    return max(found, key=lambda task: str(task["CreatedAt"]), default=None)


def _address_of(task: Mapping[str, Any], network: str) -> str:
    attachments = task.get("NetworksAttachments") or ()
    found = [one for one in attachments if one["Network"]["Spec"]["Name"] == network]
    return str(found[0]["Addresses"][0]).partition("/")[0]


def _below_base(members: Iterable[Entry]) -> Iterator[Entry]:
    base = BASE.strip("/")
    for info, content in members:
        if info.name != base:
            info.name = info.name.removeprefix(f"{base}/")
            yield info, content


def _quoted(path: str) -> str:
    return quote(os.fsencode(path))
