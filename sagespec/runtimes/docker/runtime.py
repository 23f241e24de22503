"""The `docker` runtime: containers of a Docker engine, here or behind DOCKER_HOST.

Called only through the Runtime protocol. Containers are found by their labels and nothing else;
one without this project's label is never touched, whatever its name. Files travel as tar streams through
the engine's API, so that a remote engine serves as well; from this machine only what the engine is proved
to see is mounted, and never for writing.
The low-level client is used throughout, because the high-level one inspects each container it lists.
Everything the SDK returns is Any, and ends as our own values in this folder.

DockerRuntime, here, has the protocol's methods and the life of a container; the rest is beside it:

    engine.py      the connection, and refusals as errors that say what to do
    containers.py  which containers are ours, as values
    creation.py    new containers
    launches.py    a Launch as the settings of a container
    network.py     the project's network, and an address in it for each container
    mounts.py      folders of this machine that containers can be shown
    volumes.py     volumes, also with a content from here
    images.py      which image a program runs from
    builds.py      builds and pulls
    gpus.py        GPUs by id
    files.py       files as tar streams, without the SDK
    reading.py     the beginning of one file
    logs.py        logs, followed to the last line
    commands.py    commands in a container, and HTTP through one
    credentials.py the programs that keep passwords of registries
    checks.py      what doctor says of the engine
"""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

from docker.errors import APIError, DockerException, NotFound

from sagespec.errors import WorldError
from sagespec.masking import masked
from sagespec.runtimes.docker.checks import checks_of
from sagespec.runtimes.docker.commands import bodies_of, requests_in_container, run
from sagespec.runtimes.docker.containers import Containers
from sagespec.runtimes.docker.creation import PATIENCE_SECONDS, Creation
from sagespec.runtimes.docker.engine import NO_PROGRAM, connect, engine_address, explanation, refusals, refused
from sagespec.runtimes.docker.files import BASE, Entry, contents, inside, parents, rebased, tar, tree
from sagespec.runtimes.docker.gpus import gpu_ids
from sagespec.runtimes.docker.images import Images
from sagespec.runtimes.docker.logs import log_lines, seconds_of
from sagespec.runtimes.docker.mounts import Mounts
from sagespec.runtimes.docker.network import Network
from sagespec.runtimes.docker.reading import read_file
from sagespec.runtimes.docker.unrun import no_program, why_not_run
from sagespec.runtimes.docker.volumes import DockerVolumes
from sagespec.runtimes.machine import nvidia_gpus
from sagespec.runtimes.opened import Open, learn, no_secrets
from sagespec.runtimes.protocol import READ_LIMIT_BYTES, CannotStart, Check, EndSeen, ImageInfo, Tell, Use, untold
from sagespec.state.labels import LABEL_PROJECT, LABEL_SECRETS
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container
from sagespec.state.programs import Program

__all__ = ["DockerRuntime"]


class DockerRuntime:
    """Containers, files and logs of one project on one engine. Safe to use from several threads.

    `images` is the folder with the built-in programs; folders to build are relative to `root`. marks: labels that
    containers get beside their own, asked for when one is made. open_secret: what their secrets are opened with. The
    constructor asks the engine for its version, so that one that does not answer is known at once.
    """

    name = "docker"
    runs_images = True

    def __init__(
        self,
        project_name: str,
        images: Path,
        root: Path = Path(),
        marks: Callable[[], Mapping[str, str]] = dict,
        open_secret: Open = no_secrets,
    ) -> None:
        self._project_name, self._open_secret = project_name, open_secret
        self.network_name = f"sagespec_{project_name}"
        self._engine = connect()
        self.calls: Mapping[str, int] = self._engine.calls
        self.engine = f"the engine at {engine_address()} answers (API {self._engine.api_version})"
        self._capacity: Capacity | None = None
        self._images = Images(self._engine, images, root)
        self._containers = Containers(self._engine, project_name, self.network_name)
        self._mounts = Mounts(self._engine, project_name)
        self._prepared = ""  # an image that is on the engine
        self.volumes = DockerVolumes(self._engine, project_name, self._upload, lambda: self._prepared)
        self._network = Network(self._engine, project_name, self.network_name)
        self._creation = Creation(
            self._engine,
            project_name,
            containers=self._containers,
            images=self._images,
            network=self._network,
            capacity=self.capacity,
            marks=marks,
            open_secret=open_secret,
            upload=self._upload,
        )

    @property
    def is_local(self) -> bool:
        return engine_address().startswith("unix://")

    @property
    def where(self) -> str:
        return f"the Docker engine {f'on {socket.gethostname()}' if self.is_local else f'at {engine_address()}'}"

    @staticmethod
    def answers() -> str | None:
        """None when an engine answers; else why not, in a line. Takes a few seconds at most."""
        try:
            connect().close()
        except WorldError as error:
            return error.problems[0].what
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._engine.close()

    def move_to(self, root: Path) -> None:
        self._images.root = root

    # -- what is there -----------------------------------------------------------------------------

    def containers(self) -> tuple[Container, ...]:
        with refusals("list the containers"):
            found = [self._containers.from_row(row) for row in self._containers.rows()]
        return tuple(sorted((container for container in found if container), key=lambda container: container.name))

    def inspect(self, name: str) -> Container | None:
        with refusals(f"inspect {name}"):
            details = self._containers.find(name)
            return self._containers.from_details(details) if details else None

    def look(self, names: Collection[str]) -> Mapping[str, Container | None]:
        """One call each: a list lacks exit codes and signals."""
        return {name: self.inspect(name) for name in names}

    def end_seen(self, name: str) -> EndSeen:
        with refusals(f"ask for the end of {name}"):
            details = self._containers.find(name)
            return "watched" if details is not None and self._containers.has_seen_end(details) else "unsure"

    # -- programs ----------------------------------------------------------------------------------

    def check(self, use: Use) -> None:
        self._images.check(use.program)

    def prepare(self, program: Program, tell: Tell) -> str:
        digest = self._images.prepare(program, tell)
        self._prepared = self._images.reference(program)
        return digest

    def images(self) -> tuple[ImageInfo, ...]:
        return self._images.infos()

    def built_images(self) -> tuple[ImageInfo, ...]:
        return self._images.built()

    def reference_of(self, program: Program) -> str:
        return self._images.reference(program)

    def remove_image(self, reference: str) -> bool:
        return self._images.remove(reference)

    def digests_of(self, program: Program) -> frozenset[str]:
        return self._images.digests(program)

    def image_of(self, program: Program) -> str:
        return self._images.now(program)

    def has_image(self, image: str) -> bool:
        found = self._images.has(image)
        self._prepared = image if found else self._prepared
        return found

    def capacity(self) -> Capacity:
        if self._capacity is None:
            with refusals("say what it has"):
                info = self._engine.info()
            # A virtual machine on this one has a socket here, too; it has no GPUs, and no NVIDIA runtime.
            gpus = gpu_ids(info, nvidia_gpus if engine_address().startswith("unix://") else tuple)
            self._capacity = Capacity(info["NCPU"], info["MemTotal"], gpus)
        return self._capacity

    def mounts(self, folder: Path, witness: str) -> Literal["read-only", "links", ""]:
        with refusals(f"look at {folder}"):
            return "read-only" if self._mounts.can_show(folder, witness, self._prepared) else ""

    # -- life of a container -----------------------------------------------------------------------

    def create(self, launches: Sequence[Launch], tell: Tell = untold) -> None:  # noqa: ARG002
        self._creation.create(launches)

    def start(self, name: str) -> Container:
        with refusals(f"start {name}"):
            details = self._containers.need(name)
            container_id, state = details["Id"], details["State"]["Status"]
            if state == "paused":
                self._engine.unpause(container_id)
            elif state != "running":
                self._start(name, container_id)
            container = self.inspect(name)
        if container is None:
            raise WorldError(f"container {name} disappeared while it was being started", fix="run the command again")
        return container

    def start_again(self, name: str) -> bool:
        with refusals(f"start {name}"):
            details = self._containers.find(name)
            if details is None or details["State"]["Status"] != "exited":
                return False
            with suppress(NotFound):  # by its ID, which no other container can get
                self._engine.start(details["Id"])
                return True
        return False

    def _start(self, name: str, container_id: str) -> None:
        try:
            self._engine.start(container_id)
        except APIError as error:
            said = explanation(error)
            if re.search(NO_PROGRAM, said, re.IGNORECASE):
                problem = refused(f"start {name}", said).problems[0]
                raise CannotStart(replace(problem, what=no_program(said) or problem.what)) from error
            # Only a container of other hands, or one made by another process in the same moment, can hold it.
            if "Address already in use" not in said:
                raise
            self._creation.move(name, container_id)
            self._engine.start(container_id)

    def stop(self, name: str, *, grace_seconds: float) -> None:
        self.stopping(name, grace_seconds=grace_seconds)()

    def stopping(self, name: str, *, grace_seconds: float) -> Callable[[], None]:
        with refusals(f"stop {name}"):
            details = self._containers.find(name)

        def stop() -> None:
            if details:
                with refusals(f"stop {name}"), suppress(NotFound):  # by its ID, which no other container can get
                    self._engine.stop(details["Id"], timeout=math.ceil(grace_seconds))

        return stop

    def remove(self, name: str) -> None:
        with refusals(f"remove {name}"):
            details = self._containers.find(name)
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
            self.volumes.remove(self.volumes.of(details))
            self._network.remove_if_of_job(details["HostConfig"]["NetworkMode"])

    def _wait_gone(self, name: str) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while self._containers.find(name):
            if time.monotonic() > give_up:
                raise WorldError(
                    f"container {name} has been in removal for more than {PATIENCE_SECONDS:g} s",
                    fix=f"`docker inspect {name}` shows its state; restarting the engine frees it",
                )
            time.sleep(0.05)

    def destroy(self) -> None:
        with refusals(f"remove the network {self.network_name}"):
            self._network.remove()
            self.volumes.remove_all()

    # -- files -------------------------------------------------------------------------------------

    def base_dir(self, name: str) -> str:  # noqa: ARG002  # the same in every container
        return BASE

    def put(self, name: str, path: str, source: Path) -> None:
        at = inside(path)
        with refusals(f"copy {source} into {name}"):
            self._upload(self._containers.need(name)["Id"], chain(parents(at), tree(source, at)))

    def write(self, name: str, files: Mapping[str, bytes], *, private: bool = False) -> None:
        mode = 0o600 if private else 0o644
        with refusals(f"write files in {name}"):
            details = self._containers.need(name)
            container_id = details["Id"]
            if details["State"]["Status"] != "running":
                self._upload(container_id, contents({inside(path): data for path, data in files.items()}, mode))
                return
            # The engine's own copying writes into a file that is open to readers. So it makes a new file
            # beside the old one, and a move by the container's own hand shows it to watchers as one event.
            self._upload(container_id, contents({f"{inside(path)}.new": data for path, data in files.items()}, mode))
            moves = [argument for path in files for argument in (f"/{inside(path)}.new", f"/{inside(path)}")]
            script = 'while [ $# -gt 0 ]; do mv -f "$1" "$2" || exit 1; shift 2; done'
            _, complaint = run(self._engine, container_id, ["sh", "-c", script, "sh", *moves])
            if complaint:
                raise WorldError(f"files could not be moved into place in {name}: {complaint}")

    def read(self, name: str, path: str, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        with refusals(f"read {path} in {name}"):
            return read_file(self._engine, self._containers.need(name)["Id"], path, limit)

    def get(self, name: str, path: str) -> Iterator[bytes]:
        with refusals(f"copy {path} out of {name}"):
            container_id = self._containers.need(name)["Id"]
            try:
                # The slash at the end has the engine follow a link to a folder.
                stream, _ = self._engine.get_archive(container_id, f"/{inside(path)}/", chunk_size=1 << 16)
            except NotFound:
                yield from tar(())
            else:
                yield from tar(rebased(stream))

    def _upload(self, container_id: str, members: Iterable[Entry]) -> None:
        # To the root, with full names: a user's image need not have /opt/ml.
        self._engine.put_archive(container_id, "/", tar(members))

    # -- logs, requests, events --------------------------------------------------------------------

    def why_not_run(self, name: str) -> str:
        with refusals(f"read the program of {name}"):
            details = self._containers.find(name)
            return why_not_run(self._engine, details) if details else ""

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        with refusals(f"read the logs of {name}"):
            details = self._containers.find(name)
            if details is None:
                return
            self._learn(details)
            for _, line in log_lines(self._engine, details["Id"], follow=follow, tail=tail):
                yield masked(line)

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        with refusals(f"read the logs of {name}"):
            details = self._containers.find(name)
            if details is None:
                return
            self._learn(details)
            for at, line in log_lines(self._engine, details["Id"], follow=follow, tail=tail):
                yield seconds_of(at), masked(line)

    def _learn(self, details: Mapping[str, Any]) -> None:
        names = (details["Config"].get("Labels") or {}).get(LABEL_SECRETS, "")
        learn(names.split(), self._open_secret)

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        with refusals(f"ask the program in {name}"):
            command = requests_in_container(port, paths, post=post)
            output, complaint = run(self._engine, self._containers.need(name)["Id"], command)
        if complaint:
            raise WorldError(
                f"{name} does not answer on port {port}: {complaint}", fix=f"see its log: docker logs {name}"
            )
        return bodies_of(name, paths, output)

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        with refusals("follow the events"):
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
            with suppress(DockerException):  # over ssh it cannot be closed while a thread waits for it
                stream.close()

    # -- doctor ------------------------------------------------------------------------------------

    def checks(self) -> tuple[Check, ...]:
        return checks_of(self._engine, self._images, self.capacity())
