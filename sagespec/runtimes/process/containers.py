"""What is recorded of each container, and what state that shows."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass, fields

from sagespec.state.addresses import Address
from sagespec.state.launches import Launch, Mount
from sagespec.state.observed import ContainerState
from sagespec.state.programs import Program

ID_VARIABLE = "SAGESPEC_CONTAINER_ID"


_LAUNCH_FIELDS = frozenset(field.name for field in fields(Launch))


@dataclass(frozen=True)
class Record:
    """container.json. `id` is in the environment of all its processes; a master_port of 0 is of no job; gpus are
    the ids of those it has for itself."""

    id: str
    project: str
    launch: Launch
    port: int
    master_port: int
    gpus: tuple[str, ...] = ()

    @property
    def master_ports(self) -> range:
        """One for each host of the job, as they share an address: that of rank r is the master's + r."""
        return range(self.master_port, self.master_port + len(self.launch.hosts))

    @property
    def mark(self) -> str:
        """What stands in the environment of the container's processes and of no others."""
        return f"{ID_VARIABLE}={self.id}"

    def as_json(self) -> str:
        launch = self.launch
        values = {"address": str(launch.address), "program": launch.program.as_json()}
        return json.dumps({**asdict(self), "launch": {**asdict(launch), **values}})

    @staticmethod
    def from_json(text: bytes) -> Record:
        record = json.loads(text)
        # A field of another release is left out: what that release started must not become invisible.
        launch = {name: value for name, value in record["launch"].items() if name in _LAUNCH_FIELDS}
        launch["address"] = Address.parse(launch["address"])
        launch["program"] = Program.from_json(launch["program"])
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
    """What the shim's record says, and whether the shim lives."""

    pid: int
    started_at: float
    exit_code: int | None
    alive: bool


def state_of(run: Run | None) -> ContainerState:
    if run is None:
        return ContainerState.CREATED
    return ContainerState.RUNNING if run.alive else ContainerState.EXITED


def is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # closing the file lets go again
