"""The containers of one project as folders: what is recorded of each, and the state that its files show.

`Containers` is the only place that reads `container.json` (what a container was created as) and `process`
(what its supervisor wrote). Both stay readable across releases: a container that an earlier release started
is found, logged and stopped by this one.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagespec.errors import InternalError, WorldError, disk_problems
from sagespec.runtimes.process.files import read_regular
from sagespec.runtimes.process.ports import HOST
from sagespec.runtimes.process.shim_record import ID_VARIABLE, KILLED, RECORD_BYTES
from sagespec.runtimes.protocol import READ_LIMIT_BYTES
from sagespec.spec.secrets import as_plain, from_plain
from sagespec.state.addresses import Address
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import Container, ContainerState, Exit
from sagespec.state.programs import program_from_json

NOTE_BYTES = 2**10
_LAUNCH_FIELDS = frozenset(field.name for field in fields(Launch))


@dataclass(frozen=True)
class Record:
    """container.json: what a container was created as.

    id: in the environment of all its processes. master_port: 0 when it belongs to no job. gpus: the ids of the
    GPUs that are its own.
    """

    id: str
    project: str
    launch: Launch
    port: int
    master_port: int
    gpus: tuple[str, ...] = ()

    @property
    def master_ports(self) -> range:
        """One port for each host of the job, since the hosts share an address: rank r has the master's port + r."""
        return range(self.master_port, self.master_port + len(self.launch.hosts))

    @property
    def mark(self) -> str:
        """The variable that the environment of this container's processes has, and no other's."""
        return f"{ID_VARIABLE}={self.id}"

    def as_json(self) -> str:
        launch = self.launch
        values: dict[str, Any] = {"address": str(launch.address), "program": launch.program.as_json()}
        values["environment"] = as_plain(launch.environment)  # secrets by reference
        return json.dumps({**asdict(self), "launch": {**asdict(launch), **values}})

    @staticmethod
    def from_json(text: bytes) -> Record:
        record = json.loads(text)
        # Fields of another release are ignored: a container that it started must stay visible.
        launch = {name: value for name, value in record["launch"].items() if name in _LAUNCH_FIELDS}
        launch["address"] = Address.parse(launch["address"])
        launch["program"] = program_from_json(launch["program"])
        launch["environment"] = from_plain(launch.get("environment", {}))
        for name in ("hosts", "entrypoint", "arguments"):
            launch[name] = tuple(launch.get(name, ()))
        launch["mounts"] = tuple(Mount(**mount) for mount in launch.get("mounts", ()))
        launch["publish"] = tuple(launch["publish"]) if launch["publish"] else None
        return Record(
            record["id"],
            record["project"],
            Launch(**launch),
            record["port"],
            record["master_port"],
            tuple(record.get("gpus", ())),
        )


@dataclass(frozen=True)
class Run:
    """What the supervisor wrote about its run, and whether it is alive.

    started_at: of the program, which it may have started again. last_code, ended_at: of the program's last end.
    """

    pid: int
    started_at: float
    exit_code: int | None
    alive: bool
    restarts: int = 0
    last_code: int | None = None
    ended_at: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether the program has ended, and not been started again yet."""
        return self.ended_at >= self.started_at

    @property
    def since(self) -> float:
        """When the program was started; while it waits to be started again, when it ended."""
        return self.ended_at if self.state is ContainerState.RESTARTING else self.started_at

    @property
    def state(self) -> ContainerState:
        if not self.alive:
            return ContainerState.EXITED
        return ContainerState.RESTARTING if self.waits and self.exit_code is None else ContainerState.RUNNING


class Containers:
    """The containers of one project below `folder`, which other projects may use as well."""

    def __init__(self, folder: Path, project_name: str) -> None:
        self.folder = folder
        self._project_name = project_name
        self._read: dict[str, tuple[tuple[int, int], Record]] = {}  # records by name, with their inode and time

    def names(self) -> list[str]:
        with disk_problems(f"cannot list {self.folder}"):
            try:
                return sorted(name for name in os.listdir(self.folder) if not name.startswith("."))  # noqa: PTH208
            except FileNotFoundError:
                return []

    def records(self) -> list[Record]:
        return [record for record in map(self.find, self.names()) if record]

    def find(self, name: str) -> Record | None:
        """None when the container does not exist, is half made or half removed, or is another project's."""
        file = self.folder / name / "container.json"
        try:
            status = file.stat()
            identity = (status.st_ino, status.st_mtime_ns)
            known = self._read.get(name)
            if known is None or known[0] != identity:
                content = read_regular(self.folder / name, Path("container.json"), READ_LIMIT_BYTES) or b""
                self._read[name] = known = (identity, Record.from_json(content))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # not written by us
        return known[1] if known[1].project == self._project_name else None

    def need(self, name: str) -> Record:
        record = self.find(name)
        if record is None:
            raise WorldError(
                f"there is no container {name}", why="it was removed in the meantime", fix="run apply again"
            )
        return record

    def run_of(self, name: str) -> Run | None:
        """None when the container was never started."""
        try:
            file = os.open(self.folder / name / "process", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            alive = _is_locked(file)
            line = os.read(file, RECORD_BYTES).split()
        except OSError:  # a folder that the program has put there
            return None
        finally:
            os.close(file)
        return _run(line, alive)

    def is_running(self, name: str) -> bool:
        run = self.run_of(name)
        return run is not None and run.alive

    def runs(self) -> dict[str, Run | None]:
        """The runs of all containers, by name."""
        return {record.launch.name: self.run_of(record.launch.name) for record in self.records()}

    def inspect(self, name: str) -> Container | None:
        record = self.find(name)
        if record is None:
            return None
        launch, run = record.launch, self.run_of(name)
        return Container(
            name=name,
            address=launch.address,
            hash=launch.hash,
            state=_state_of(run),
            exit_code=run.exit_code if run and not run.alive else None,
            host=HOST,
            port=record.port,
            started_at=datetime.fromtimestamp(run.since, UTC) if run else None,
            cpus=launch.cpus,
            memory=launch.memory,
            gpus=record.gpus,
            image=launch.image,
            published=launch.publish[1] if launch.publish else 0,
            restarts=run.restarts if run else 0,
            last_exit=self._last_exit(name, run) if run else None,
            note=self._note(name, run) if run and not run.alive else "",
            signals=(signal.SIGTERM,) if run and (self.folder / name / "terminated").exists() else (),
        )

    def _last_exit(self, name: str, run: Run) -> Exit | None:
        code = run.last_code if run.alive else run.exit_code
        if code is None:
            return None
        at = datetime.fromtimestamp(run.ended_at, UTC) if run.alive or run.waits else None
        return Exit(code, at, self._note(name, run))

    def _note(self, name: str, run: Run) -> str:
        """Why the supervisor killed the program; '' if it did not, or was itself killed with a later run of it."""
        code = run.last_code if run.alive else run.exit_code
        is_of_an_earlier_run = not run.alive and not run.waits and run.ended_at > 0
        if code != KILLED or is_of_an_earlier_run:
            return ""
        content = read_regular(self.folder / name, Path("note"), NOTE_BYTES) or b""
        return content.decode(errors="replace")

    def gpus_taken(self) -> dict[str, str]:
        """Address of the container that has a GPU, by the GPU's ID. A job that has ended holds none."""
        return {
            gpu: str(record.launch.address)
            for record in self.records()
            if record.launch.command == "serve"
            or _state_of(self.run_of(record.launch.name)) is not ContainerState.EXITED
            for gpu in record.gpus
        }

    def base_dir(self, name: str) -> str:
        return str(self.folder / name / "opt" / "ml")

    def inside(self, name: str, path: str) -> Path:
        """The path of a file that is given relative to the container's /opt/ml."""
        relative = Path(os.path.normpath(path.lstrip("/")))
        if ".." in relative.parts:
            raise InternalError(f"{path} leads out of container {name}")
        return Path(self.base_dir(name)) / relative


def _state_of(run: Run | None) -> ContainerState:
    return run.state if run else ContainerState.CREATED


def _run(line: Sequence[bytes], alive: bool) -> Run | None:
    """The run that a line of `process` tells of; None when it was claimed a moment ago, and not written yet.

    A supervisor that could not write the exit code was itself killed, and the program with it.
    """
    try:
        pid, started_at, exit_code = int(line[0]), float(line[1]), _code(line[2])
        restarts, last_code, ended_at = line[3:] or (b"0", b"-", b"0")  # an earlier release knows none of these
        run = Run(pid, started_at, exit_code, alive, int(restarts), _code(last_code), float(ended_at))
    except (ValueError, IndexError):
        return None
    if alive or exit_code is not None:
        return run
    return replace(run, exit_code=run.last_code if run.waits else KILLED)


def _code(text: bytes) -> int | None:
    return None if text == b"-" else int(text)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # closing the file releases it
