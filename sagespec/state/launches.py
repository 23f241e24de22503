"""What a runtime is asked to make: one container, and what it sees.

Made by `run`, `serve`, `inputs` and `gateway`; every runtime turns it into what they start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sagespec.spec.secrets import SecretUse
from sagespec.state.addresses import Address
from sagespec.state.programs import Program


@dataclass(frozen=True, order=True)
class Mount:
    """What a container sees at `path` (below /opt/ml) that is not its own.

    source: a folder of this machine, shown read-only. volume: a name instead; all containers that name it share one
    folder and may write there, and it goes with the last of them.
    """

    path: str
    source: str = ""
    volume: str = ""


@dataclass(frozen=True)
class Launch:
    """One container to be created. `command` is the word it is run with: train or serve.

    entrypoint: replaces the image's; arguments: replace the word. With either, the word is left out, as SageMaker
    does for ContainerEntrypoint and ContainerArguments.
    hosts: for a job, the container names of all its hosts in order (algo-1 first), so that they can
    reach each other by those names; alias: this one's own host name, e.g. algo-1.
    keep_running: started again by the runtime when it dies (serving), or left exited (training). may_end: an exit code
    of 0 is no death, and leaves it exited.
    publish: (address, port) on the engine's machine, for the gateway alone.
    gpus: how many it gets for itself alone; the runtime chooses which.
    isolated: it reaches the other hosts of its job, and no other machine.
    image: the very image it is made from, as `Container.image` names it, in place of what the program means now.
    model: what it serves or trains, for people.
    grace_seconds: what it has between SIGTERM and SIGKILL. `stop` is told the same; some engines must know it from the
    start.
    folders: of this machine, which it sees under their own paths and may write to, as the user that we run as and in
    this machine's network: a notebook's alone.
    """

    name: str
    address: Address
    hash: str
    program: Program
    command: Literal["train", "serve"]
    environment: Mapping[str, str | SecretUse] = field(default_factory=dict, repr=False)  # secrets by reference
    cpus: float | None = None
    memory: int | None = None
    alias: str = ""
    hosts: tuple[str, ...] = ()
    keep_running: bool = False
    may_end: bool = False
    publish: tuple[str, int] | None = None
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    gpus: int = 0
    isolated: bool = False
    image: str = ""
    model: str = ""
    folders: tuple[str, ...] = ()
    grace_seconds: float = 30.0

    @property
    def words(self) -> list[str]:
        """What the entrypoint is called with."""
        return list(self.arguments) if self.entrypoint or self.arguments else [self.command]
