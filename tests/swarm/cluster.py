"""A swarm of real engines on this machine, each in a network namespace, and a registry on their wire.

Several can stand beside each other, as each takes a number that no living process has. What killed runs have left is
taken down first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import docker
import requests
from docker.errors import DockerException

from tests.swarm.leavings import take_down
from tests.swarm.node import Node
from tests.swarm.wire import Wire, run
from tests.swarm.within import within

AT_ONCE = 16  # clusters of one machine
AGREED_SECONDS = 90.0  # until nodes that were cut off are ready again: a leader that was is useless for 42 s
GONE_SECONDS = 60.0
IN_MEMORY_FROM = 12 * 2**30  # three engines' images take 4 GiB, and a minute to delete from a disk
TOOLS = ("dockerd", "ip", "nsenter", "unshare", "docker-registry", "curl", "iptables")


def missing() -> str | None:
    """Why no cluster can be brought up here."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if lacks := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(lacks)} not installed"
    probe = f"swarm-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "no network namespace can be made here"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return None


@contextmanager
def made_of(count: int) -> Iterator[Cluster]:
    """A cluster of so many nodes, the first of which is its manager."""
    number, lock = _number()
    with lock:
        folder = _folder(number)
        folder.mkdir(mode=0o700)
        if _spare_memory() > IN_MEMORY_FROM:
            run("mount", "-t", "tmpfs", "-o", "mode=0700", folder.name, str(folder))
        try:
            with closing(Cluster(number, folder, _prefix(number), count)) as found:
                found.up()
                yield found
        finally:
            take_down(folder, _prefix(number))


def _prefix(number: int) -> str:
    return f"swarm{number}-"


def _folder(number: int) -> Path:
    return Path(tempfile.gettempdir()) / f"sagespec-{_prefix(number)}{os.getuid()}"


def _number() -> tuple[int, IO[str]]:
    """One that is free, and the lock that keeps it. What is there under free numbers was left by killed runs, and is
    taken down."""
    folder = Path(tempfile.gettempdir()) / f"sagespec-tests-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    kept: tuple[int, IO[str]] | None = None
    with (folder / "swarm.lock").open("w") as turn:  # nobody finds all taken while another looks
        fcntl.flock(turn, fcntl.LOCK_EX)
        for number in range(AT_ONCE):
            lock = (folder / f"swarm-{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            if _folder(number).exists():
                take_down(_folder(number), _prefix(number))
            if kept is None:
                kept = number, lock
            else:
                lock.close()
    assert kept, f"{AT_ONCE} clusters are on this machine already"
    return kept


def _spare_memory() -> int:
    (row,) = (row for row in Path("/proc/meminfo").read_text().splitlines() if row.startswith("MemAvailable:"))
    return int(row.split()[1]) * 1024


class Cluster:
    def __init__(self, number: int, folder: Path, prefix: str, count: int) -> None:
        self.wire, self._folder, self._prefix = Wire(number, prefix), folder, prefix
        self.registry = f"{self.wire.address}:5000"
        self._home = docker.DockerClient.from_env(version="auto", timeout=300).api  # has the images
        settings = {"storage-driver": self._home.info()["Driver"], "insecure-registries": [self.wire.subnet]}
        names = [f"n{position}" for position in range(1, count + 1)]
        self.nodes = tuple(
            Node(name, self.wire.at(10 + position), folder / name, prefix, settings)
            for position, name in enumerate(names)
        )
        self._loaded: set[str] = set()
        self._registry: subprocess.Popen[bytes] | None = None

    @property
    def manager(self) -> Node:
        return self.nodes[0]

    def up(self) -> None:
        self.wire.up()
        for node in self.nodes:
            node.folder.mkdir()
            self.wire.plug_in(node.namespace, node.name, node.address)
            node.start()
        self._start_registry()
        for node in self.nodes:
            node.wait_until_it_answers()
        first, *others = self.nodes
        pool = {"default_addr_pool": ["10.214.0.0/16"], "subnet_size": 24}  # inside: nobody else sees it
        first.engine.init_swarm(advertise_addr=first.address, **pool)
        token = first.engine.inspect_swarm()["JoinTokens"]["Worker"]
        for node in others:
            node.engine.join_swarm([f"{first.address}:2377"], token, advertise_addr=node.address)
        assert len({node.id for node in self.nodes}) == len(self.nodes)
        self.wait_until_ready()

    def close(self) -> None:
        """End what was started here. What that started, `take_down` finds."""
        for node in self.nodes:
            node.close()
        if self._registry is not None:
            self._registry.kill()
            self._registry.wait()
        self._home.close()

    def _start_registry(self) -> None:
        config = self._folder / "registry.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._folder}/registry}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '{self.registry}'}}\n"
        )
        with (self._folder / "registry.log").open("ab") as log:
            self._registry = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.wire.namespace}", "docker-registry", "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def load(self, *references: str) -> None:
        """Have these images, of the engine of this machine, on the manager's."""
        lacks = [reference for reference in references if reference not in self._loaded]
        if not lacks:
            return
        with self._home.get(self._home._url("/images/get"), params={"names": lacks}, stream=True) as saved:
            saved.raise_for_status()
            told = self.manager.engine.load_image(saved.iter_content(1 << 20))
            wrong = [line["error"] for line in told or () if "error" in line]
        assert not wrong, wrong
        self._loaded |= set(lacks)

    # -- what happens to it ------------------------------------------------------------------------

    def cut(self, node: Node) -> None:
        """Nobody reaches the node, and it reaches nobody; all on it runs on."""
        self.wire.cut(node.name)

    def join(self, node: Node) -> None:
        self.wire.join(node.name)

    def drain(self, node: Node) -> None:
        self._have(node, Availability="drain")

    def rest(self, node: Node) -> None:
        """Give it no more work; what is there stays."""
        self._have(node, Availability="pause")

    def use(self, node: Node) -> None:
        self._have(node, Availability="active")

    def promote(self, *nodes: Node) -> None:
        for node in nodes:
            self._have(node, Role="manager")

    def _have(self, node: Node, **wanted: str) -> None:
        within(AGREED_SECONDS, lambda: self._has(node, wanted), f"{node.name} does not become {wanted}")

    def _has(self, node: Node, wanted: Mapping[str, str]) -> bool:
        """Whether the node is so; if not, that is asked for. Without a leader there is nobody to ask."""
        with suppress(DockerException, requests.RequestException):
            found = self.manager.engine.inspect_node(node.id)
            spec = found["Spec"]
            if spec | wanted == spec:
                is_manager = found.get("ManagerStatus", {}).get("Reachability") == "reachable"
                return bool(is_manager == (spec["Role"] == "manager"))
            self.manager.engine.update_node(node.id, found["Version"]["Index"], spec | wanted)
        return False

    # -- between two tests -------------------------------------------------------------------------

    def restore(self) -> None:
        """As it was: every wire joined, every engine running, all nodes ready for work, one manager, and nothing that
        a test has made."""
        for node in self.nodes:
            self.join(node)
            if not node.is_started:
                node.start()
        for node in self.nodes:
            node.wait_until_it_answers()
        self.wait_until_ready()
        for node in self.nodes:
            self._have(node, Availability="active", Role="manager" if node is self.manager else "worker")
        self.wait_until_ready()
        self._clear()

    def wait_until_ready(self) -> None:
        within(AGREED_SECONDS, self._is_ready, "the nodes are not ready")

    def _is_ready(self) -> bool:
        with suppress(DockerException, requests.RequestException):  # there is no leader yet
            return [node["Status"]["State"] for node in self._rows()] == ["ready"] * len(self.nodes)
        return False

    def _rows(self) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = self.manager.engine.nodes()
        return rows

    def _clear(self) -> None:
        """Each look removes what it finds; what is still used, or on its way out, is found again by the next."""
        for service in self.manager.engine.services():
            self.manager.engine.remove_service(service["ID"])
        for node in self.nodes:
            within(GONE_SECONDS, partial(_is_empty, node.engine), f"{node.name} keeps what tests have made")
        within(GONE_SECONDS, lambda: _has_nothing_shared(self.manager.engine), "what tests have made is kept")


def _is_empty(engine: Any) -> bool:
    containers, volumes = engine.containers(all=True), engine.volumes()["Volumes"] or ()
    for container in containers:
        with suppress(DockerException):
            engine.remove_container(container["Id"], v=True, force=True)
    for volume in volumes:
        with suppress(DockerException):
            engine.remove_volume(volume["Name"])
    return not containers and not volumes


def _has_nothing_shared(engine: Any) -> bool:
    secrets, configs = engine.secrets(), engine.configs()
    networks = [found["Id"] for found in engine.networks(filters={"driver": "overlay"}) if found["Name"] != "ingress"]
    with suppress(DockerException):
        for secret in secrets:
            engine.remove_secret(secret["ID"])
        for config in configs:
            engine.remove_config(config["ID"])
        for network in networks:
            engine.remove_network(network)
    return not (secrets or configs or networks)
