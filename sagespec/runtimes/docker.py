"""The `docker` runtime: containers of a Docker engine, here or behind DOCKER_HOST.

Called through the Runtime protocol alone. Containers are found by their labels and by nothing else;
one without this project's label is never touched, whatever its name. Nothing is mounted from this
machine: files travel as tar streams through the engine's API, so that a remote engine serves as well.
The low-level client is used throughout, because the high-level one inspects each container it lists.
Everything the SDK returns is Any, and ends as our own values in this file.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import ipaddress
import math
import os
import posixpath
import re
import shutil
import socket
import stat
import struct
import tarfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Literal, Self

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from sagespec.errors import WorldError
from sagespec.runtimes import Check, ImageInfo, Progress
from sagespec.state import LABEL_PROJECT, Container, ContainerState, Launch, Program, address_from_labels, labels_of

BASE = "/opt/ml"
PORT = 8080  # where SageMaker's contract has every container listen; the gateway's image keeps to it too
LABEL_IMAGE = "sagespec.image"

_OLDEST_API = (1, 40)  # Docker 19.03
_FIRST_ANSWER_SECONDS = 5.0
_ANSWER_SECONDS = 120.0  # between two bytes of the engine, not for a whole transfer
_PATIENCE_SECONDS = 30.0  # with what another process is making or removing
_COPY_BYTES = 1 << 18

# What images made for SageMaker do as root, and no more. nginx and gunicorn open their files, hand them
# to www-data, change to that user and later signal their workers; pip and apt do likewise when a script
# brings requirements; MPI starts its workers over an sshd, which locks itself into an empty root.
# Not in it, of Docker's own choice: raw sockets, device nodes, file capabilities, the audit log.
# Programs of images/ need none.
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_CHROOT")

_Entry = tuple[tarfile.TarInfo, BinaryIO | None]  # a member of a tar, and its content if it is a file

_STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "paused": ContainerState.RUNNING,  # by hand; its health check tells
    "restarting": ContainerState.RESTARTING,
    "exited": ContainerState.EXITED,
    "dead": ContainerState.EXITED,  # a removal failed half-way; it can only be removed again
}  # "removing" is left out: such a container is as good as gone


class DockerRuntime:
    """Containers, files and logs of one project on one engine. Safe to use from several threads.

    `images` is the folder with the built-in programs. The constructor asks the engine for its version,
    so that one that does not answer is known at once.
    """

    name: Literal["docker", "process", "fake"] = "docker"

    def __init__(self, project_name: str, images: Path) -> None:
        self._project_name = project_name
        self._images = images
        self.network_name = f"sagespec_{project_name}"
        self._creating = threading.Lock()  # addresses are chosen by one thread at a time
        self._preparing = threading.Lock()  # a program that two jobs need is built once
        self._engine = _connect()
        self.engine = f"the engine at {_endpoint()} answers (API {self._engine.api_version})"

    @staticmethod
    def answers() -> str | None:
        """None when an engine answers; else why not, in a line. Takes a few seconds at most."""
        try:
            _connect().close()
        except WorldError as error:
            return error.problems[0].what
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._engine.close()

    # -- what is there -----------------------------------------------------------------------------

    def containers(self) -> tuple[Container, ...]:
        with _refusals("list the containers"):
            found = [self._container_from_row(row) for row in self._rows()]
        return tuple(sorted((container for container in found if container), key=lambda container: container.name))

    def inspect(self, name: str) -> Container | None:
        with _refusals(f"inspect {name}"):
            details = self._find(name)
            return self._container_from_details(details) if details else None

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._engine.containers(
            all=True, filters={"label": f"{LABEL_PROJECT}={self._project_name}"}
        )
        return rows

    def _find(self, name: str) -> dict[str, Any] | None:
        """Details of our container `name`; None when there is none, or when it is somebody else's."""
        details = self._find_any(name)
        return details if details and self._is_ours(details) else None

    def _find_any(self, name: str) -> dict[str, Any] | None:
        try:
            details: dict[str, Any] = self._engine.inspect_container(name)
        except NotFound:
            return None
        return details if details["Name"] == f"/{name}" else None  # it also takes the beginning of an id for a name

    def _is_ours(self, details: Mapping[str, Any]) -> bool:
        return bool((details["Config"]["Labels"] or {}).get(LABEL_PROJECT) == self._project_name)

    def _need(self, name: str) -> dict[str, Any]:
        """Details of our container `name`. What is done to it is done by its id, which nobody else can take over."""
        details = self._find(name)
        if details is None:
            raise WorldError(
                f"container {name} of project {self._project_name} is not there",
                why="somebody removed it, or it was never made",
                fix="run the command again: what is missing is made anew",
            )
        return details

    def _container_from_row(self, row: Mapping[str, Any]) -> Container | None:
        ended = re.match(r"Exited \((-?\d+)\)", row["Status"])
        container = self._container(
            row["Names"][0], row["Labels"], row["State"], int(ended[1]) if ended else -1, _networks(row)
        )
        created_at = datetime.fromtimestamp(row["Created"], UTC)  # the nearest a list has to the start
        return container and replace(container, started_at=created_at)

    def _container_from_details(self, details: Mapping[str, Any]) -> Container | None:
        state = details["State"]
        container = self._container(
            details["Name"], details["Config"]["Labels"], state["Status"], state["ExitCode"], _networks(details)
        )
        started_at = datetime.fromisoformat(state["StartedAt"])  # year 1 when it never was
        return container and replace(
            container,
            restarts=details["RestartCount"],
            started_at=started_at if started_at.year > 1 else None,
            note="out of memory" if state.get("OOMKilled") else "",
        )

    def _container(
        self, name: str, labels: Mapping[str, str], status: str, exit_code: int, networks: Mapping[str, Any]
    ) -> Container | None:
        """None when its labels are damaged or it is being removed."""
        known, state = address_from_labels(labels), _STATES.get(status)
        if known is None or state is None:
            return None
        return Container(
            name=name.lstrip("/"),
            address=known[0],
            hash=known[1],
            state=state,
            exit_code=exit_code if state is ContainerState.EXITED else None,
            host=self._address(networks),
            port=PORT,
        )

    def _address(self, networks: Mapping[str, Any]) -> str:
        """The pinned address, which a stopped container has too; '' for one we did not attach."""
        return str(((networks.get(self.network_name) or {}).get("IPAMConfig") or {}).get("IPv4Address") or "")

    def _addresses(self) -> dict[str, str]:
        """Pinned address by container name, of all that exist."""
        return {row["Names"][0].lstrip("/"): self._address(_networks(row)) for row in self._rows()}

    # -- programs ----------------------------------------------------------------------------------

    def prepare(self, program: Program, progress: Progress) -> str:
        reference = self._reference(program)
        with self._preparing, _refusals(f"prepare the image {reference}"):
            try:
                image = self._engine.inspect_image(reference)
            except ImageNotFound:
                if program.builtin:
                    self._build(program.builtin, reference, progress)
                else:
                    self._pull(reference, progress)
                image = self._engine.inspect_image(reference)
        return _digest(reference, image)

    def images(self) -> tuple[ImageInfo, ...]:
        names = sorted(file.parent.name for file in self._images.glob("*/Dockerfile"))
        with _refusals("list the images"):
            rows = self._engine.images(filters={"label": LABEL_IMAGE})
        present = {tag: row for row in rows for tag in row["RepoTags"] or ()}
        found = []
        for name in names:
            reference = self._reference(Program(builtin=name))
            row = present.get(reference)
            found.append(ImageInfo(name, reference, row["Id"] if row else "", row["Size"] if row else 0))
        return tuple(found)

    def _reference(self, program: Program) -> str:
        """The image of `program`. A built-in's tag is a hash of its folders, so a new release builds anew."""
        if program.image:
            return program.image
        digest = hashlib.sha256()
        for member, content in self._context(program.builtin):
            digest.update(f"{member.name}\0{member.size}\0".encode())
            if content:
                digest.update(content.read())
        return f"sagespec/{program.builtin}:{digest.hexdigest()[:12]}"

    def _context(self, builtin: str) -> Iterator[_Entry]:
        """What the Dockerfile of a built-in may copy from: its own folder and the toolkit."""
        if not (self._images / builtin / "Dockerfile").is_file():
            raise WorldError(
                f"there is no built-in program {builtin!r}: {self._images / builtin / 'Dockerfile'} is missing",
                fix="`sagespec images` lists the built-in programs",
            )
        for folder in sorted({"toolkit", builtin}):
            if (self._images / folder).is_dir():
                yield from _tree(self._images / folder, folder, is_wanted=_is_source)

    def _build(self, builtin: str, reference: str, progress: Progress) -> None:
        progress(f"building {reference}")
        last_lines: deque[str] = deque(maxlen=20)
        for step in self._engine.build(
            fileobj=_tar(self._context(builtin)),
            custom_context=True,
            dockerfile=f"{builtin}/Dockerfile",
            tag=reference,
            labels={LABEL_IMAGE: builtin},
            rm=True,
            forcerm=True,
            decode=True,
        ):
            for line in str(step.get("stream", "")).splitlines():
                if line.strip():
                    last_lines.append(line.rstrip())
                    progress(line.rstrip())
            if "error" in step:
                raise WorldError(
                    f"the built-in image {reference} could not be built: {str(step['error']).strip()}",
                    why="the build ended with\n" + "\n".join(f"       {line}" for line in last_lines),
                    fix="the engine needs the base image and a way to the package index: see `sagespec doctor`",
                )

    def _pull(self, reference: str, progress: Progress) -> None:
        progress(f"pulling {reference}")
        repository, tag = docker.utils.parse_repository_tag(reference)
        told = set()
        try:
            for step in self._engine.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if "error" in step:
                    raise _image_missing(reference, str(step["error"]))
                line = ": ".join(str(step[field]) for field in ("id", "status") if field in step)
                if line not in told:  # one line a layer and stage, not one a percent
                    told.add(line)
                    progress(line)
        except APIError as error:
            raise _image_missing(reference, _said(error)) from error

    # -- life of a container -----------------------------------------------------------------------

    def create(self, launches: Sequence[Launch]) -> None:
        with self._creating, _refusals(f"create {', '.join(launch.name for launch in launches)}"):
            pool = _pool(self._own_subnet())
            addresses = self._addresses()
            there = set(addresses)
            for launch in launches:
                if launch.name not in addresses:
                    addresses[launch.name] = self._promised(launch, there) or _free_address(
                        launch.name, pool, set(addresses.values())
                    )
            for launch in launches:
                if launch.name not in there:
                    hosts = {
                        other.alias: addresses[other.name]
                        for other in launches
                        if other.name in launch.hosts and other.name != launch.name and other.alias
                    }
                    self._create(launch, addresses[launch.name], hosts)

    def _promised(self, launch: Launch, there: set[str]) -> str | None:
        """The address under which a host of the same job, made by an earlier and cut-off create, knows this one."""
        for host in launch.hosts:
            details = self._find(host) if host in there else None
            for line in (details or {}).get("HostConfig", {}).get("ExtraHosts") or ():
                alias, _, address = line.partition(":")
                if alias == launch.alias:
                    return str(address)
        return None

    def _create(self, launch: Launch, address: str, hosts: Mapping[str, str]) -> None:
        engine = self._engine
        is_users_own = bool(launch.program.image)
        limits: dict[str, Any] = {}
        if launch.cpus is not None:
            limits["nano_cpus"] = int(launch.cpus * 1e9)
        if launch.memory is not None:
            limits["mem_limit"] = limits["memswap_limit"] = launch.memory  # equal: no swap on top
        host_config = engine.create_host_config(
            network_mode=self.network_name,
            extra_hosts=dict(hosts),
            port_bindings={PORT: launch.publish} if launch.publish else None,
            restart_policy={"Name": "unless-stopped" if launch.keep_running else "no"},
            log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            cap_drop=["ALL"],
            cap_add=list(_CAPABILITIES) if is_users_own else None,
            security_opt=["no-new-privileges"],
            pids_limit=4096,
            # Data loaders pass batches through /dev/shm; Docker's 64 MiB is where they break. It is counted
            # as the container's memory, and half of that is what Linux itself would give.
            shm_size=max(64 << 20, launch.memory // 2) if launch.memory else 2 << 30,
            # As in SageMaker the entrypoint is process 1. An init before it would reap zombies, but some
            # entrypoints (s6) refuse to start as anything else.
            init=False,
            **limits,
        )
        networking = engine.create_networking_config(
            {self.network_name: engine.create_endpoint_config(ipv4_address=address)}
        )

        def create() -> None:
            engine.create_container(
                self._reference(launch.program),
                command=[launch.command],
                name=launch.name,
                hostname=launch.alias or None,
                user="0:0" if is_users_own else None,  # SageMaker runs every image as root
                environment=dict(launch.environment),
                labels=labels_of(self._project_name, launch.address, launch.hash),
                ports=[PORT] if launch.publish else None,
                host_config=host_config,
                networking_config=networking,
                stop_signal="SIGTERM",  # SageMaker's, whatever the image asks for (nginx: SIGQUIT)
                healthcheck={"test": ["NONE"]},  # /ping is what counts, and is the gateway's to ask
            )

        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                create()
            except APIError as error:
                if error.status_code != 409 or time.monotonic() > give_up:
                    raise
            else:
                return
            # The name is taken. Where nothing is to be seen under it, another process is making the container
            # at this moment; where it is neither this nor that, it is being removed.
            details = self._find_any(launch.name)
            if details and not self._is_ours(details):
                raise WorldError(
                    f"the name {launch.name} is taken by a container that is not of project {self._project_name}",
                    why="sagespec touches only containers with its own labels",
                    fix=f"look at it with `docker inspect {launch.name}` and rename or remove it",
                )
            if details and details["State"]["Status"] in _STATES:
                return
            time.sleep(0.05)

    def start(self, name: str) -> Container:
        with _refusals(f"start {name}"):
            details = self._need(name)
            container_id, state = details["Id"], details["State"]["Status"]
            if state == "paused":
                self._engine.unpause(container_id)
            elif state != "running":
                self._start(name, container_id)
            container = self.inspect(name)
        if container is None:
            raise WorldError(f"container {name} went away while it was started", fix="run the command again")
        return container

    def _start(self, name: str, container_id: str) -> None:
        try:
            self._engine.start(container_id)
        except APIError as error:
            # Only a container of other hands, or one made by another process in the same moment, can hold it.
            if "Address already in use" not in _said(error):
                raise
            with self._creating:
                self._move(name, container_id)
            self._engine.start(container_id)

    def _move(self, name: str, container_id: str) -> None:
        """Give a stopped container another pinned address."""
        if self._engine.inspect_container(container_id)["HostConfig"]["ExtraHosts"]:
            raise WorldError(
                f"the address of {name} is in use, and the other hosts of its job know it by that address",
                why="a container that sagespec did not make took it",
                fix=f"remove that container from the network {self.network_name} and apply again",
            )
        network = self._engine.inspect_network(self.network_name)
        taken = {place["IPv4Address"].partition("/")[0] for place in network["Containers"].values()}
        address = _free_address(name, _pool(_subnet(network)), taken | set(self._addresses().values()))
        self._engine.disconnect_container_from_network(container_id, self.network_name, force=True)
        self._engine.connect_container_to_network(container_id, self.network_name, ipv4_address=address)

    def stop(self, name: str, *, grace_seconds: float) -> None:
        with _refusals(f"stop {name}"):
            if details := self._find(name):
                with suppress(NotFound):
                    self._engine.stop(details["Id"], timeout=math.ceil(grace_seconds))

    def remove(self, name: str) -> None:
        with _refusals(f"remove {name}"):
            details = self._find(name)
            if details is None:
                return
            try:
                self._engine.remove_container(details["Id"], v=True, force=True)
            except NotFound:
                return
            except APIError as error:
                if error.status_code != 409:  # another removal is under way
                    raise
            self._wait_gone(name)

    def _wait_gone(self, name: str) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while self._find(name):
            if time.monotonic() > give_up:
                raise WorldError(
                    f"container {name} is being removed for more than {_PATIENCE_SECONDS:g} s",
                    fix=f"`docker inspect {name}` shows its state; restarting the engine frees it",
                )
            time.sleep(0.05)

    def destroy(self) -> None:
        with _refusals(f"remove the network {self.network_name}"):
            for network in self._engine.networks(filters={"label": f"{LABEL_PROJECT}={self._project_name}"}):
                with suppress(NotFound):
                    self._engine.remove_network(network["Id"])

    # -- the network -------------------------------------------------------------------------------

    def _own_subnet(self) -> ipaddress.IPv4Network:
        """The subnet of the project's network, which is made when it is not there.

        An engine pins addresses only in a subnet that was named when the network was made. So it is
        let choose a free one, and the network made again with that subnet. Another process may do the
        same, or take the subnet in between: each round looks again.
        """
        labels = {LABEL_PROJECT: self._project_name}
        said = ""
        for _ in range(10):
            known = [n for n in self._engine.networks(names=[self.network_name]) if n["Name"] == self.network_name]
            if known:
                network, *doubles = sorted(known, key=lambda n: (str(n["Created"]), str(n["Id"])))
                if (network["Labels"] or {}).get(LABEL_PROJECT) != self._project_name:
                    raise WorldError(
                        f"the name {self.network_name} is taken by a network that is not of this project",
                        fix=f"look at it with `docker network inspect {self.network_name}` and remove it",
                    )
                for double in doubles:  # engines before 25 may let two creates of one name through
                    with suppress(APIError):
                        self._engine.remove_network(double["Id"])
                return _subnet(network)
            probe = self._engine.create_network(f"{self.network_name}_{token_hex(4)}", driver="bridge", labels=labels)
            details = self._engine.inspect_network(probe["Id"])
            self._engine.remove_network(probe["Id"])
            # Without an address of their own, containers that others attach get one of the lower half.
            lower, _ = _subnet(details).subnets()
            config = {**_ipam(details), "IPRange": str(lower)}
            try:
                self._engine.create_network(
                    self.network_name, driver="bridge", ipam={"Config": [config]}, labels=labels, check_duplicate=True
                )
            except APIError as error:
                said = _said(error)
        raise WorldError(f"the engine does not make the network {self.network_name}: {said}")

    # -- files -------------------------------------------------------------------------------------

    def base_dir(self, name: str) -> str:  # noqa: ARG002  # the same in every container
        return BASE

    def put(self, name: str, path: str, source: Path) -> None:
        at = _inside(path)
        with _refusals(f"copy {source} into {name}"):
            self._upload(self._need(name)["Id"], chain(_parents(at), _tree(source, at)))

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        with _refusals(f"write files in {name}"):
            details = self._need(name)
            container_id = details["Id"]
            if details["State"]["Status"] != "running":
                self._upload(container_id, _contents({_inside(path): data for path, data in files.items()}))
                return
            # The engine's own copying writes into a file that is open to readers. So it makes a new file
            # beside the old one, and a move by the container's own hand shows it to watchers as one event.
            self._upload(container_id, _contents({f"{_inside(path)}.new": data for path, data in files.items()}))
            moves = [argument for path in files for argument in (f"/{_inside(path)}.new", f"/{_inside(path)}")]
            script = 'while [ $# -gt 0 ]; do mv -f "$1" "$2" || exit 1; shift 2; done'
            _, complaint = self._run(container_id, ["sh", "-c", script, "sh", *moves])
            if complaint:
                raise WorldError(f"files could not be moved into place in {name}: {complaint}")

    def read(self, name: str, path: str) -> bytes | None:
        with _refusals(f"read {path} in {name}"):
            container_id = self._need(name)["Id"]
            try:
                stream, status = self._engine.get_archive(container_id, f"/{_inside(path)}")
                if status["linkTarget"]:
                    stream, _ = self._engine.get_archive(container_id, status["linkTarget"])
            except NotFound:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                member = archive.next()
                content = archive.extractfile(member) if member and member.isreg() else None
                return content.read() if content else None

    def get(self, name: str, path: str) -> Iterator[bytes]:
        with _refusals(f"copy {path} out of {name}"):
            container_id = self._need(name)["Id"]
            try:
                # The slash at the end has the engine follow a link to a folder.
                stream, _ = self._engine.get_archive(container_id, f"/{_inside(path)}/", chunk_size=1 << 16)
            except NotFound:
                yield from _tar(())
            else:
                yield from _tar(_rebased(stream))

    def _upload(self, container_id: str, members: Iterable[_Entry]) -> None:
        # To the root, with full names: a user's image need not have /opt/ml.
        self._engine.put_archive(container_id, "/", _tar(members))

    # -- logs, requests, events --------------------------------------------------------------------

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        with _refusals(f"read the logs of {name}"):
            details = self._find(name)
            if details is None:
                return
            frames = self._followed(details["Id"], tail) if follow else self._frames(details["Id"], tail=tail)
            yield from _lines((frame.stream, frame.data) for frame in frames)

    def _followed(self, container_id: str, tail: int | None) -> Iterator[_Frame]:
        """Frames until the container has ended.

        An engine ends the stream when the container does, and may not have sent all of it by then: a last
        line without a newline nearly always, and under load the lines of its last moments. So the end of
        the log is read once more, for what is newer.
        """
        latest: dict[int, bytes] = {}  # by stream, as only within one the order of times is certain
        first = b""
        for frame in self._frames(container_id, follow=True, tail=tail):
            first = first or frame.at
            latest[frame.stream] = frame.at
            yield frame
        if tail is not None and not latest:
            return
        since = max(0, _seconds(max(latest.values())) - 5) if latest else 0
        for frame in self._frames(container_id, since=since):
            if frame.at > latest.get(frame.stream, b"" if tail is None else first):
                yield frame

    def _frames(
        self, container_id: str, *, follow: bool = False, tail: int | None = None, since: int = 0
    ) -> Iterator[_Frame]:
        # Not through the SDK's own method: it does not say which of the two streams a piece is of, and the
        # engine cuts long lines in pieces.
        with self._engine.get(
            f"{self._engine.base_url}/v{self._engine.api_version}/containers/{container_id}/logs",
            params={
                "stdout": 1,
                "stderr": 1,
                "timestamps": 1,
                "follow": int(follow),
                "tail": "all" if tail is None else tail,
                "since": since,
            },
            stream=True,
            timeout=None if follow else _ANSWER_SECONDS,
        ) as response:
            if response.status_code == 404:  # removed since it was found
                return
            if not response.ok:
                raise _refused("give the log", response.text)
            yield from _read_frames(response.iter_content(None))

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        with _refusals(f"ask the program in {name}"):
            command = ["python3", "-I", "-S", "-c", _CLIENT, str(port), "POST" if post else "GET", *paths]
            output, complaint = self._run(self._need(name)["Id"], command)
        if complaint:
            raise WorldError(
                f"{name} does not answer on port {port}: {complaint}", fix=f"its own log says more: docker logs {name}"
            )
        bodies = []
        for path in paths:
            size = int.from_bytes(output[:8])
            bodies.append(_body(name, path, output[8 : 8 + size]))
            output = output[8 + size :]
        return bodies

    def _run(self, container_id: str, command: Sequence[str]) -> tuple[bytes, str]:
        """Standard output of a command in the container, and, when it failed, the last line of its complaint."""
        execution = self._engine.exec_create(container_id, list(command), user="0:0")["Id"]
        output, errors = self._engine.exec_start(execution, demux=True)
        code = self._engine.exec_inspect(execution)["ExitCode"]
        if code == 0:
            return output or b"", ""
        complaint = (errors or output or b"").decode(errors="replace").strip().rpartition("\n")[2]
        return b"", complaint or f"{command[0]} ended with {code}"

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        with _refusals("follow the events"):
            stream = self._engine.events(
                filters={
                    "type": "container",
                    "label": f"{LABEL_PROJECT}={self._project_name}",
                    "event": ["start", "die", "destroy"],
                },
                decode=True,
            )
        try:
            yield (str(event["Actor"]["Attributes"]["name"]) for event in stream)
        finally:
            with suppress(DockerException):  # over ssh it cannot be closed while somebody waits for it
                stream.close()

    # -- doctor ------------------------------------------------------------------------------------

    def checks(self) -> tuple[Check, ...]:
        with _refusals("say how it is"):
            began = time.monotonic()
            info = self._engine.info()
            took = time.monotonic() - began
            version = self._engine.version()
            present = {tag for row in self._engine.images() for tag in row["RepoTags"] or ()}
        checks = [
            Check(
                "docker engine",
                True,
                f"{version['Version']} (API {version['ApiVersion']}) at {_endpoint()}, "
                f"answers in {took * 1000:.0f} ms; {info['NCPU']} CPUs, {info['MemTotal'] / 2**30:.1f} GiB",
            )
        ]
        if not info["MemoryLimit"]:
            checks.append(
                Check(
                    "memory limits",
                    False,
                    "the engine's kernel cannot limit memory: resources.memory is ignored",
                    "boot that machine with the memory cgroup enabled",
                )
            )
        root = Path(info["DockerRootDir"])
        if _endpoint().startswith("unix://") and root.is_dir():  # a local engine, not one in a virtual machine
            free = shutil.disk_usage(root).free / 2**30
            fix = "" if free > 5 else "`docker system df` shows what takes room; `docker image prune` frees some"
            checks.append(Check("docker disk", free > 5, f"{free:.1f} GiB free in {root}", fix))
        for base in sorted(self._bases() - present):
            checks.append(Check("base image", True, f"{base} is not there yet; the first build pulls it"))
        return tuple(checks)

    def _bases(self) -> set[str]:
        """The images that Dockerfiles of built-in programs start from."""
        files = self._images.glob("*/Dockerfile")
        return {base for file in files for base in re.findall(r"^FROM\s+(\S+:\S+)", file.read_text(), re.MULTILINE)}


# -- the engine and its refusals -------------------------------------------------------------------


def _connect() -> Any:
    endpoint = _endpoint()
    try:
        if endpoint.startswith("unix://"):  # asked first, as the SDK would leave a socket that finds nobody open
            with socket.socket(socket.AF_UNIX) as first:
                first.settimeout(_FIRST_ANSWER_SECONDS)
                first.connect(endpoint.removeprefix("unix://"))
        engine = docker.DockerClient.from_env(
            version="auto", timeout=_FIRST_ANSWER_SECONDS, max_pool_size=64, use_ssh_client=True
        ).api
    except (DockerException, requests.RequestException, OSError) as error:
        raise _not_answering(error) from error
    version = tuple(int(part) for part in engine.api_version.split("."))
    if version < _OLDEST_API:
        engine.close()
        raise WorldError(
            f"the Docker engine at {endpoint} speaks API {engine.api_version}, which is too old",
            why=f"sagespec needs {'.'.join(map(str, _OLDEST_API))} (Docker 19.03) or newer",
            fix="update the engine",
        )
    engine.timeout = _ANSWER_SECONDS
    return engine


def _endpoint() -> str:
    """Where the engine is looked for: DOCKER_HOST, else the command line's current context."""
    with suppress(Exception):  # a damaged context is told by the connection, not here
        return os.environ.get("DOCKER_HOST") or str(ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT")).Host)
    return "the default address"


def _not_answering(error: BaseException) -> WorldError:
    causes = _causes(error)
    if any(isinstance(cause, PermissionError) for cause in causes):
        return WorldError(
            f"the Docker engine at {_endpoint()} may not be used: permission denied",
            why="its socket is open to root and to the group docker",
            fix="sudo usermod -aG docker $USER, then log in again; or --runtime process",
        )
    reason = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return WorldError(
        f"no Docker engine answers at {_endpoint()}: {reason}",
        fix="start Docker or set DOCKER_HOST (`sagespec doctor` looks closer); or --runtime process",
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error, what it was raised from, and what those carry as arguments, as urllib3's do."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return found


@contextmanager
def _refusals(doing: str) -> Iterator[None]:
    """What the engine refuses inside becomes a WorldError that says what to do about it."""
    try:
        yield
    except APIError as error:
        raise _refused(doing, _said(error)) from error
    except (DockerException, requests.RequestException) as error:
        raise _not_answering(error) from error


def _said(error: APIError) -> str:
    return str(error.explanation or error)


def _refused(doing: str, said: str) -> WorldError:
    port = re.search(r"((?:\d{1,3}\.){3}\d{1,3}):(\d+)", said)
    if port and re.search("port is already allocated|address already in use", said):
        return WorldError(
            f"port {port[2]} on {port[1]} is in use, so the engine could not {doing}",
            why="another container or program listens there",
            fix="stop it, or set gateway.port in sagespec.yaml",
        )
    fix = next((fix for pattern, fix in _WAYS_OUT if re.search(pattern, said, re.IGNORECASE)), "")
    return WorldError(f"the engine could not {doing}: {said.strip()}", fix=fix)


# What engines say, and what to do about it.
_WAYS_OUT = (
    (
        "no space left on device",
        "`docker system df` shows what takes room; `docker image prune` and `docker container prune` free some",
    ),
    (
        "address pool|non-overlapping",
        "all subnets for networks are used up: `docker network prune` removes those that nobody uses",
    ),
    ("range of cpus", "lower resources.cpus: the engine's machine has no more"),
    (
        "executable file not found|exec: .*no such file",
        "a container is run with the word train or serve, as SageMaker does: give the image an ENTRYPOINT that "
        "takes the word, or executables of these names on its PATH",
    ),
    ("exec format error", "the image is for another kind of processor: build or pull it for the engine's"),
    ("no such image", "run the command again: it fetches or builds the image"),
)


def _image_missing(reference: str, said: str) -> WorldError:
    return WorldError(
        f"the image {reference} is not on the engine and could not be pulled: {said}",
        fix="check the name; for a private registry `docker login` first; an image of your own must be built on, "
        f"or loaded into, the engine at {_endpoint()}",
    )


def _digest(reference: str, image: Mapping[str, Any]) -> str:
    """The digest the registry knows the image by; its id when it is from no registry."""
    repository, _ = docker.utils.parse_repository_tag(reference)
    known: dict[str, str] = dict(line.split("@", 1) for line in sorted(image["RepoDigests"] or ()))
    return known.get(repository) or next(iter(known.values()), str(image["Id"]))


# -- containers and addresses ----------------------------------------------------------------------


def _networks(row_or_details: Mapping[str, Any]) -> dict[str, Any]:
    networks: dict[str, Any] = row_or_details["NetworkSettings"]["Networks"]
    return networks


def _ipam(network: Mapping[str, Any]) -> dict[str, str]:
    return next(config for config in network["IPAM"]["Config"] if ":" not in config["Subnet"])


def _subnet(network: Mapping[str, Any]) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(_ipam(network)["Subnet"])


def _pool(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """Where our containers get their addresses: the upper half, of which the engine gives none by itself."""
    _, upper = subnet.subnets()
    return upper


def _free_address(name: str, pool: ipaddress.IPv4Network, taken: set[str]) -> str:
    """The address a container of this name gets, or the next free one: a container made anew keeps its own.

    >>> _free_address("a", ipaddress.IPv4Network("10.0.0.128/30"), {"10.0.0.128", "10.0.0.130"})
    '10.0.0.129'
    """
    size = pool.num_addresses - 1  # the last one is the broadcast address
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % size
    for step in range(size):
        address = str(pool[(first + step) % size])
        if address not in taken:
            return address
    raise WorldError(
        f"all {size} addresses of the network are taken",
        why="every container of a project keeps one of its own",
        fix="remove containers that are no longer needed (`sagespec apply --prune`)",
    )


# -- tar streams -----------------------------------------------------------------------------------


def _inside(path: str) -> str:
    """Name in a tar for the root of a path that is relative to /opt/ml."""
    return posixpath.join(BASE, path).strip("/")


def _member(name: str, *, size: int = 0, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """A member owned by root, as everything in a SageMaker container is: without capabilities root may not
    even write into folders of others."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.mtime = size, mode, kind, int(time.time())
    return info


def _parents(at: str) -> Iterator[_Entry]:
    parts = at.split("/")
    for count in range(2, len(parts)):  # from opt/ml on; /opt itself is the image's
        yield _member("/".join(parts[:count]), mode=0o755, kind=tarfile.DIRTYPE), None


def _tree(
    source: Path,
    at: str,
    *,
    is_wanted: Callable[[str], bool] = lambda _: True,
    above: tuple[tuple[int, int], ...] = (),
) -> Iterator[_Entry]:
    """A file or folder as members named `at` and below, in order of their names, links followed."""
    try:
        status = source.stat()
        if stat.S_ISREG(status.st_mode):
            with source.open("rb") as content:
                mode = 0o755 if status.st_mode & 0o100 else 0o644
                yield _member(at, size=os.fstat(content.fileno()).st_size, mode=mode), content
            return
        children = sorted(child for child in source.iterdir() if is_wanted(child.name))
    except OSError as error:  # of our side; left as it is, it would pass for a fault of the connection
        raise WorldError(f"{source} could not be read: {error.strerror or error}") from error
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise WorldError(f"{source} is a link to a folder that it is in", fix="remove the link")
    yield _member(at, mode=0o755, kind=tarfile.DIRTYPE), None
    for child in children:
        yield from _tree(child, f"{at}/{child.name}", is_wanted=is_wanted, above=(*above, identity))


def _is_source(file_name: str) -> bool:
    return file_name != "__pycache__" and not file_name.startswith(".")


def _contents(files: Mapping[str, bytes]) -> Iterator[_Entry]:
    for name, data in files.items():
        yield from _parents(name)
        yield _member(name, size=len(data)), io.BytesIO(data)


def _rebased(stream: Iterator[bytes]) -> Iterator[_Entry]:
    """The members of the engine's tar of one folder, named relative to that folder, which itself is left out."""
    with tarfile.open(fileobj=_Reader(stream), mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            _, _, member.name = member.name.partition("/")
            if not member.name:
                continue
            if member.islnk():
                _, _, member.linkname = member.linkname.partition("/")
            member.pax_headers = {}  # they hold the old name, and would win over the new one
            yield member, archive.extractfile(member) if member.isreg() else None


class _Reader:
    """Just enough of a file for tarfile to read a stream of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


def _tar(members: Iterable[_Entry]) -> Iterator[bytes]:
    """A tar, piece by piece: nothing of it is held but the piece at hand."""
    held = bytearray()  # small files go together: each piece costs a write, and a chunk of HTTP
    for piece in _blocks(members):
        held += piece
        if len(held) >= _COPY_BYTES:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _blocks(members: Iterable[_Entry]) -> Iterator[bytes]:
    for info, content in members:
        yield info.tobuf(tarfile.PAX_FORMAT)
        if content is None:
            continue
        left = info.size
        while left:
            piece = content.read(min(left, _COPY_BYTES))
            if not piece:
                raise WorldError(
                    f"{info.name} became shorter while it was copied", fix="copy it when nobody writes to it"
                )
            left -= len(piece)
            yield piece
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


# -- streams and replies ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Frame:
    """A line of a container's log, or a piece of a long one: 1 is standard output, 2 standard error.

    `at` is always of the same length and in UTC, so that times can be compared as they are.
    """

    stream: int
    at: bytes
    data: bytes


def _read_frames(pieces: Iterable[bytes]) -> Iterator[_Frame]:
    """Docker's two streams in one: stream number, 3 zero bytes, 4 bytes of length; time, space, data."""
    held = b""
    for piece in pieces:
        held += piece
        begin = 0
        while len(held) >= begin + 8:
            stream, size = struct.unpack_from(">BxxxL", held, begin)
            end = begin + 8 + size
            if len(held) < end:
                break
            at, _, data = held[begin + 8 : end].partition(b" ")
            yield _Frame(stream, at, data)
            begin = end
        held = held[begin:]


def _seconds(at: bytes) -> int:
    return int(datetime.fromisoformat(at[:19].decode() + "+00:00").timestamp())


def _lines(pieces: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    """Whole lines, each as it ends: between the pieces of one there may be lines of the other stream.

    >>> list(_lines([(1, b"ab"), (2, b"error\\n"), (1, b"c\\n"), (1, b"end")]))
    ['error', 'abc', 'end']
    """
    begun: dict[int, bytes] = {}
    for stream, data in pieces:
        *whole, begun[stream] = (begun.get(stream, b"") + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").removesuffix("\r")
    for rest in begun.values():
        if rest:
            yield rest.decode(errors="replace")


# Runs in the container: one request after the other, each reply as it comes after 8 bytes of length.
_CLIENT = """\
import socket, sys
port, verb, *paths = sys.argv[1:]
for path in paths:
    try:
        with socket.create_connection(("127.0.0.1", int(port)), 10) as connection:
            head = f"{verb} {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", "Connection: close", "", ""
            connection.sendall("\\r\\n".join(head).encode())
            reply = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    except OSError as error:
        sys.exit(f"{path}: {error}")
    sys.stdout.buffer.write(len(reply).to_bytes(8, "big") + reply)
"""


def _body(name: str, path: str, reply: bytes) -> bytes:
    """The body of a raw HTTP reply whose status is 200."""

    class Received:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(reply)

    response = http.client.HTTPResponse(Received())  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except http.client.HTTPException as error:
        raise WorldError(f"{name} answered {path} with half a reply: {error!r}") from error
    if response.status != 200:
        raise WorldError(f"{name} answered {path} with {response.status}: {body[:200].decode(errors='replace')}")
    return body
