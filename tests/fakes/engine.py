"""The containers of an engine in memory, and what each of them does once it is started.

`FakeEngine` outlives the `FakeRuntime`s that are opened on it, as Docker outlives a killed sagespec.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sagespec.clock import Clock, RealClock
from sagespec.gateway.table import Table, TargetKey
from sagespec.gateway.totals import Totals
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container, ContainerState


class Link(bytes):
    """In place of a file's content: a symbolic link to there."""


@dataclass(frozen=True)
class Behaviour:
    """What a container does once it is started.

    lasts: seconds until it ends with `exit_code`; None: until it is stopped. lines are printed and files
    (by path below /opt/ml) written at the start, last_lines printed at the end. on_sigterm: its exit code
    then; None: it ignores SIGTERM. healthy_after: seconds until /ping answers; None: never. answers: bodies
    by path, for `fetch`. active_requests: what the gateway counts in flight.
    """

    exit_code: int = 0
    lasts: float | None = 0.0
    lines: Sequence[str | bytes] = ()
    last_lines: Sequence[str | bytes] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    on_sigterm: int | None = 143
    healthy_after: float | None = 0.0
    answers: Mapping[str, bytes] = field(default_factory=dict)
    active_requests: int = 0
    restarts: int = 0


TRAINS = Behaviour(lines=("trained",), files={"model/model.txt": b"a model\n"})
SERVES = Behaviour(lasts=None, on_sigterm=0)
FEEDS = Behaviour(lasts=None, on_sigterm=0, files={"output/ready": b""})


@dataclass
class FakeContainer:
    project_name: str
    launch: Launch
    port: int
    behaviour: Behaviour
    gpus: tuple[str, ...] = ()
    state: ContainerState = ContainerState.CREATED
    started_at: datetime | None = None
    exit_code: int | None = None
    lines: list[tuple[float, str]] = field(default_factory=list)  # with the seconds since 1970
    files: dict[str, bytes] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)  # paths of the POSTs it was sent
    ended: threading.Event = field(default_factory=threading.Event)
    is_on_network: bool = True
    image: str = ""

    def print(self, lines: Iterable[str | bytes], at: datetime) -> None:
        texts = [line if isinstance(line, str) else line.decode(errors="replace") for line in lines]
        self.lines += [(at.timestamp(), text) for text in texts]

    def is_healthy(self, now: datetime) -> bool:
        after = self.behaviour.healthy_after
        if self.state is not ContainerState.RUNNING or self.started_at is None or after is None:
            return False
        return now >= self.started_at + timedelta(seconds=after)

    def observed(self) -> Container:
        return Container(
            name=self.launch.name,
            address=self.launch.address,
            hash=self.launch.hash,
            state=self.state,
            exit_code=self.exit_code,
            host="127.0.0.1" if self.is_on_network else "",
            port=self.port,
            restarts=self.behaviour.restarts,
            started_at=self.started_at,
            cpus=self.launch.cpus,
            memory=self.launch.memory,
            gpus=self.gpus,
            image=self.image,
            published=self.launch.publish[1] if self.launch.publish else 0,
        )


class FakeEngine:
    """All containers, of all projects. Safe to use from several threads."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        builtins: Sequence[str] = ("echo", "feeder", "gateway", "notebook", "xgboost"),
    ) -> None:
        self.clock: Clock = clock or RealClock()
        self.builtins = tuple(builtins)
        self.capacity = Capacity(cpus=4, memory=8 * 2**30)
        self.cannot_start: set[str] = set()  # programs
        self.all: dict[str, FakeContainer] = {}
        self.volumes: dict[str, dict[str, bytes]] = {}
        self.changed = threading.Condition(threading.RLock())
        self.history: list[tuple[str, str]] = []  # (project, container) of each start, death and removal
        self.starts: Counter[str] = Counter()  # by address
        self.most_training = 0  # containers at once, ever
        self._behaviours: dict[str, Behaviour] = {}
        self.tables: dict[str, Table] = {}  # what each gateway was told, by container
        self.totals: dict[TargetKey, Totals] = {}  # what the gateway has counted
        self.gateway_starts = 1  # that have left what it counts at zero
        self._next_port = 20000
        self.release = 1  # of sagespec: each has images of its own
        self.images_gone: set[str] = set()

    def behave(self, whom: str, behaviour: Behaviour) -> None:
        """What containers created from now on will do; `whom`: a name, an address, or that of the whole."""
        self._behaviours[whom] = behaviour

    def behaviour_of(self, launch: Launch) -> Behaviour:
        for whom in (launch.name, str(launch.address), str(launch.address.whole)):
            if whom in self._behaviours and not (launch.address.is_companion and whom == str(launch.address.whole)):
                return self._behaviours[whom]
        if launch.address.is_companion:
            return FEEDS
        return TRAINS if launch.command == "train" else SERVES

    def gpus_taken(self) -> dict[str, str]:
        live = (c for c in self.all.values() if c.state is not ContainerState.EXITED or c.launch.command == "serve")
        return {gpu: str(container.launch.address) for container in live for gpu in container.gpus}

    def free_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def settle(self) -> None:
        """Let everything end whose time has come."""
        with self.changed:
            now = self.clock.now()
            for container in list(self.all.values()):
                lasts, started_at = container.behaviour.lasts, container.started_at
                if container.state is not ContainerState.RUNNING or lasts is None or started_at is None:
                    continue
                if now >= started_at + timedelta(seconds=lasts):
                    container.print(container.behaviour.last_lines, started_at + timedelta(seconds=lasts))
                    self.end(container, container.behaviour.exit_code)

    def end(self, container: FakeContainer, exit_code: int) -> None:
        """Also for tests: let a running container die."""
        with self.changed:
            container.state, container.exit_code = ContainerState.EXITED, exit_code
            container.ended.set()
            self.note(container)

    def note(self, container: FakeContainer) -> None:
        running = [c for c in self.all.values() if c.state is ContainerState.RUNNING and c.launch.command == "train"]
        self.most_training = max(self.most_training, len(running))
        self.history.append((container.project_name, container.launch.name))
        self.changed.notify_all()
