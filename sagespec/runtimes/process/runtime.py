"""The `process` runtime: supervised local processes, where no Docker engine answers.

It runs the built-in programs of images/, and folders of your own that hold `train` and `serve` as executables.
A container is a folder: `container.json` (what it was created as, with its ports), `opt/ml` (its tree, which the
program finds through SAGEMAKER_BASE_DIR), `work` (its current directory), and the record and log that its
supervisor keeps. There is no daemon and no other state: "running" means that the supervisor holds its lock, so
any later command finds everything again. Nothing is isolated, and `checks` says so.

ProcessRuntime, here, has the protocol's methods; what they do is beside it:

    containers.py   the records of containers, as values
    programs.py     which program a launch runs, and whether it can run here; executable.py: one of your own
    environment.py  the variables that it starts with
    secret_files.py the secrets that it gets as files, in memory
    processes.py    processes: start, signal, kill
    shim.py         the supervisor, a separate process; shim_*.py are parts of it
    restarts.py     when it starts again a program that is to keep running
    ports.py        free ports
    mounts.py       folders of this machine as links
    volumes.py      folders that containers share, or that were filled beforehand
    files.py        files in and out of a container's folder
    logs.py         logs, followed to the last line
    fetch.py        HTTP requests to a program
    checks.py       what doctor says of this machine
"""

from __future__ import annotations

import secrets
import socket
import tarfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from sagespec.errors import WorldError, disk_problems
from sagespec.masking import masked
from sagespec.private import make_folder
from sagespec.runtimes.machine import alone_at, capacity_here, choose_gpus
from sagespec.runtimes.opened import Open, learn, no_secrets, secret_files_of, variables_of
from sagespec.runtimes.process.checks import checks_of
from sagespec.runtimes.process.containers import Containers, Record, Run
from sagespec.runtimes.process.environment import environment_of
from sagespec.runtimes.process.fetch import bodies_of
from sagespec.runtimes.process.files import (
    copy_file,
    copy_folder,
    delete_folder,
    read_regular,
    tar_members,
    write_whole,
)
from sagespec.runtimes.process.logs import log_lines, timed_lines
from sagespec.runtimes.process.mounts import Mounts
from sagespec.runtimes.process.ports import HOST, check_port, choose_port
from sagespec.runtimes.process.processes import kill_process, kill_rest_of, start_process, stop_process
from sagespec.runtimes.process.programs import Programs
from sagespec.runtimes.process.secret_files import remove_secrets, write_secrets
from sagespec.runtimes.process.shim_record import PRIVATE
from sagespec.runtimes.process.volumes import ProcessVolumes
from sagespec.runtimes.protocol import READ_LIMIT_BYTES, Check, EndSeen, ImageInfo, Tell, Use, untold
from sagespec.spec.secrets import secret_names
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container
from sagespec.state.programs import Builtin, Program

_EVENTS_SECONDS = 0.25  # between two looks at the containers


class ProcessRuntime:
    """The containers of one project below `folder`. Safe to use from several threads.

    `images` is the folder with the built-in programs; folders of your own are relative to `root`. open_secret: what
    the secrets of a program's environment are opened with, each time it starts.
    """

    name = "process"
    runs_images = False
    is_local = True
    calls: Mapping[str, int] = MappingProxyType({})

    @property
    def where(self) -> str:
        return f"{self._folder} on {socket.gethostname()}"

    def __init__(
        self, project_name: str, folder: Path, images: Path, root: Path = Path(), open_secret: Open = no_secrets
    ) -> None:
        self._project_name = project_name
        self._folder = folder.absolute()
        self._open_secret = open_secret
        self._capacity: Capacity | None = None
        self._containers = Containers(self._folder, project_name)
        self._programs = Programs(images.absolute(), root.absolute())
        self.volumes = ProcessVolumes(self._containers, project_name)
        self._mounts = Mounts(self._containers, self.volumes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def move_to(self, root: Path) -> None:
        self._programs.root = root.absolute()

    # -- what is there -----------------------------------------------------------------------------

    def containers(self) -> tuple[Container, ...]:
        found = map(self._containers.inspect, self._containers.names())
        return tuple(container for container in found if container is not None)

    def inspect(self, name: str) -> Container | None:
        return self._containers.inspect(name)

    def look(self, names: Collection[str]) -> Mapping[str, Container | None]:
        return {name: self.inspect(name) for name in names}

    def end_seen(self, name: str) -> EndSeen:
        """Watched, of every container that has ended: there is no engine that could have been down."""
        run = self._containers.run_of(name)
        return "watched" if run is not None and not run.alive else "unsure"

    # -- programs ----------------------------------------------------------------------------------

    def check(self, use: Use) -> None:
        self._programs.check(use)

    def prepare(self, program: Program, tell: Tell) -> str:  # noqa: ARG002
        return self._programs.prepare(program)

    def built_images(self) -> tuple[ImageInfo, ...]:
        return ()

    def reference_of(self, program: Program) -> str:  # noqa: ARG002
        return ""

    def remove_image(self, reference: str) -> bool:  # noqa: ARG002
        return True

    def images(self) -> tuple[ImageInfo, ...]:
        return self._programs.infos()

    def digests_of(self, program: Program) -> frozenset[str]:
        with suppress(WorldError):
            return frozenset({self._programs.prepare(program)})
        return frozenset()

    def image_of(self, program: Program) -> str:
        return self._programs.now(program)

    def has_image(self, image: str) -> bool:
        return self._programs.now(Builtin(image.partition("@")[0])) == image

    def capacity(self) -> Capacity:
        if self._capacity is None:
            self._capacity = capacity_here()
        return self._capacity

    def mounts(self, folder: Path, witness: str) -> Literal["read-only", "links", ""]:  # noqa: ARG002  # the same disk
        return "links"

    # -- life of a container -----------------------------------------------------------------------

    def create(self, launches: Sequence[Launch], tell: Tell = untold) -> None:  # noqa: ARG002
        with disk_problems(f"cannot create containers in {self._folder}"):
            make_folder(self._folder)
        with alone_at(self._folder):  # ports and GPUs are chosen by one run at a time
            self._sweep()
            for launch in launches:
                self._programs.check(Use.of(launch))
                if self._containers.find(launch.name) is None:
                    self._create(launch)

    def _create(self, launch: Launch) -> None:
        record = self._new_record(launch)
        folder = self._folder / launch.name
        with disk_problems(f"cannot create container {launch.name} in {self._folder}"):
            make_folder(folder / "opt" / "ml")
            for mount in launch.mounts:
                self._mounts.add(launch.name, mount)
            (folder / "work").mkdir(exist_ok=True)
            # Last: from here on it exists.
            write_whole(folder / "container.json", record.as_json().encode(), mode=PRIVATE)

    def _new_record(self, launch: Launch) -> Record:
        """What the container will be, with ports and GPUs that no other has."""
        others = self._containers.records()
        taken = {port for record in others for port in (record.port, *record.master_ports)}

        def free_port(wish: str, count: int = 1) -> int:
            port = choose_port(wish, taken, count)
            taken.update(range(port, port + count))
            return port

        siblings = (record.master_port for record in others if record.launch.name in launch.hosts)
        return Record(
            secrets.token_hex(8),
            self._project_name,
            replace(launch, image=self._programs.now(launch.program)),
            port=launch.publish[1] if launch.publish else free_port(launch.name),
            master_port=(next(siblings, 0) or free_port(launch.hosts[0], len(launch.hosts))) if launch.hosts else 0,
            gpus=self._choose_gpus(launch),
        )

    def _choose_gpus(self, launch: Launch) -> tuple[str, ...]:
        """GPUs that no other container of this project has; what other projects on this machine use is unknown."""
        if not launch.gpus:
            return ()
        return choose_gpus(launch.gpus, self.capacity().gpus, self._containers.gpus_taken(), str(launch.address))

    def start(self, name: str) -> Container:
        record = self._containers.need(name)
        if not self._containers.is_running(name):
            self._start(record)
        container = self.inspect(name)
        if container is None:
            raise WorldError(f"container {name} was removed while it was being started", fix="run apply again")
        return container

    def start_again(self, name: str) -> bool:
        record, run = self._containers.find(name), self._containers.run_of(name)
        if record is None or run is None or run.alive:
            return False
        kill_rest_of(record)  # of a killed supervisor; they may hold its port
        self._start(record)  # its supervisor refuses the folder of another record
        return True

    def _start(self, record: Record) -> None:
        launch = record.launch
        command = self._programs.command(launch)
        host = launch.publish[0] if launch.publish else HOST
        if launch.command == "serve":
            check_port(host, record.port, fix="stop what listens there, or choose another port")
        secret_files = write_secrets(record.id, secret_files_of(launch.environment, self._open_secret))
        environment = environment_of(
            record,
            variables_of(launch.environment, self._open_secret, folder=str(secret_files)),
            host=host,
            base_dir=self.base_dir(launch.name),
            images=self._programs.folder,
            packages=self._folder.with_name("packages"),
        )
        start_process(self._containers, record, command=command, environment=environment)

    def stop(self, name: str, *, grace_seconds: float) -> None:
        self.stopping(name, grace_seconds=grace_seconds)()

    def stopping(self, name: str, *, grace_seconds: float) -> Callable[[], None]:
        record = self._containers.find(name)

        def stop() -> None:
            if record:
                stop_process(self._containers, record, grace_seconds)

        return stop

    def remove(self, name: str) -> None:
        record = self._containers.find(name)
        if record is None:
            return
        kill_process(self._containers, record)
        with disk_problems(f"cannot remove container {name}"):
            self.volumes.remove((mount.volume for mount in record.launch.mounts if mount.volume), leaving=name)
            # Renamed first: when we are killed halfway, a left-over that `_sweep` knows remains, and never half a
            # container.
            gone = self._folder / f".gone-{record.id}"
            with suppress(FileNotFoundError):  # another command removes it as well
                (self._folder / name).rename(gone)
            delete_folder(gone)
            remove_secrets(record.id)

    def destroy(self) -> None:
        self._sweep()
        self.volumes.remove_all()
        with suppress(OSError):  # it does not exist, or another project has containers there
            self._folder.rmdir()

    def _sweep(self) -> None:
        """Finish removals that were killed halfway."""
        for gone in self._folder.glob(".gone-*"):
            delete_folder(gone)

    # -- files -------------------------------------------------------------------------------------

    def base_dir(self, name: str) -> str:
        return self._containers.base_dir(name)

    def put(self, name: str, path: str, source: Path) -> None:
        target = self._place(name, path)
        with disk_problems(f"cannot copy {source} to {target}"):
            if source.is_dir():
                copy_folder(source, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_file(source, target)

    def write(self, name: str, files: Mapping[str, bytes], *, private: bool = False) -> None:
        for path, content in files.items():
            target = self._place(name, path)
            with disk_problems(f"cannot write {target}"):
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, content, mode=0o600 if private else 0o666)

    def read(self, name: str, path: str, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        target = self._place(name, path)
        folder, inner = self._mounts.behind(name, target.relative_to(self.base_dir(name)))
        with disk_problems(f"cannot read {target}"):
            return read_regular(folder, inner, limit)

    def get(self, name: str, path: str) -> Iterator[bytes]:
        folder = self._place(name, path)
        with disk_problems(f"cannot read {folder}"):
            yield from tar_members(folder, self._place(name, ""))
            yield bytes(2 * tarfile.BLOCKSIZE)

    def _place(self, name: str, path: str) -> Path:
        """Where `path` is on this machine; WorldError if there is no such container."""
        self._containers.need(name)
        return self._containers.inside(name, path)

    # -- logs, requests, events --------------------------------------------------------------------

    def why_not_run(self, name: str) -> str:  # noqa: ARG002  # `check` has looked before the start
        return ""

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        record = self._containers.find(name)
        if record is None:
            return
        self._learn(record)
        with disk_problems(f"cannot read the log of {name}"):
            folder, runs_on = self._folder / name, lambda: follow and self._containers.is_running(name)
            yield from map(masked, log_lines(folder, runs_on=runs_on, tail=tail))

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        record = self._containers.find(name)
        if record is None:
            return
        self._learn(record)
        with disk_problems(f"cannot read the log of {name}"):
            folder, runs_on = self._folder / name, lambda: follow and self._containers.is_running(name)
            yield from ((at, masked(line)) for at, line in timed_lines(folder, runs_on=runs_on, tail=tail))

    def _learn(self, record: Record) -> None:
        learn(secret_names(record.launch.environment), self._open_secret)

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        return bodies_of(self._containers, name, port=port, paths=paths, post=post)

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        left = threading.Event()
        try:
            yield self._changes(self._containers.runs(), left)
        finally:
            left.set()

    def _changes(self, before: Mapping[str, Run | None], left: threading.Event) -> Iterator[str]:
        while not left.wait(_EVENTS_SECONDS):
            now = self._containers.runs()
            yield from sorted(
                name
                for name in before.keys() | now.keys()
                if before.get(name) != now.get(name) or (name in before and name not in now)
            )
            before = now

    # -- doctor ------------------------------------------------------------------------------------

    def checks(self) -> tuple[Check, ...]:
        return checks_of(self._folder, self._programs, self.capacity())
