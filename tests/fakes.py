"""An engine, a store and a gateway in memory, for tests of what is built on them.

`FakeEngine` is the world: it outlives the `FakeRuntime`s that are opened on it, as Docker outlives a
killed sagespec. What a container does is a `Behaviour`, given by its name or address beforehand. The
clock is the real one unless a `SettableClock` is passed. A `Faults` shared by runtime, store and
gateway counts what they are asked to change, and can end everything before or after any one of it.
Runtime and store pass the same contract suites as the real ones.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol, Self

from sagespec.errors import WorldError
from sagespec.events import Report
from sagespec.gateway.answers import Counters
from sagespec.gateway.gateway import Gateway
from sagespec.gateway.table import Addresses, Table, TargetKey
from sagespec.runtimes.machine import choose_gpus
from sagespec.runtimes.protocol import Check, ImageInfo, Tell
from sagespec.spec.project import Gateway as Settings
from sagespec.state.addresses import GATEWAY
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container, ContainerState, ObservedGateway, Probe, Route, Target
from sagespec.state.programs import Program
from sagespec.stores.keys import changed, check_key, check_sha256, missing
from sagespec.stores.protocol import Conflict, CountBytes, Entry, Stored

# -- time and trouble ------------------------------------------------------------------------------


class Clock(Protocol):
    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SettableClock:
    """Stands still until it is moved; whoever sleeps moves it."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class Killed(BaseException):
    """As if sagespec had been killed here: not an Exception, so that nothing under test can catch and go on."""


class Faults:
    """Counts the effects asked of the fakes that share it, in `calls`, and breaks off where told.

    kill_before/kill_after: the number (from 1) of the effect before or after which all ends: that call and
    every later one, in any thread, raise Killed until `revive`. fail: called with the text of each effect,
    e.g. "start sagespec_p_job_churn"; what it returns is raised instead of doing it.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.kill_before = 0
        self.kill_after = 0
        self.fail: Callable[[str], Exception | None] = lambda _: None
        self._killed = False
        self._lock = threading.Lock()

    @contextmanager
    def effect(self, text: str) -> Iterator[None]:
        with self._lock:
            self.look()
            self.calls.append(text)
            number = len(self.calls)
            self._killed = number == self.kill_before
            self.look()
        if error := self.fail(text):
            raise error
        yield
        if number == self.kill_after:
            self._killed = True
            self.look()

    def look(self) -> None:
        """Reading changes nothing and is not counted, but the dead do not read either."""
        if self._killed:
            raise Killed(f"killed at effect {len(self.calls)}")

    def revive(self) -> None:
        """A new sagespec: counting starts again, and nothing breaks."""
        self.__init__()  # type: ignore[misc]


# -- runtime ---------------------------------------------------------------------------------------


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
            host="127.0.0.1",
            port=self.port,
            restarts=self.behaviour.restarts,
            started_at=self.started_at,
            cpus=self.launch.cpus,
            memory=self.launch.memory,
            gpus=self.gpus,
        )


class FakeEngine:
    """All containers, of all projects. Safe to use from several threads."""

    def __init__(
        self, clock: Clock | None = None, *, builtins: Sequence[str] = ("echo", "feeder", "gateway", "xgboost")
    ) -> None:
        self.clock: Clock = clock or RealClock()
        self.builtins = tuple(builtins)
        self.capacity = Capacity(cpus=4, memory=8 * 2**30)
        self.all: dict[str, FakeContainer] = {}
        self.volumes: dict[str, dict[str, bytes]] = {}
        self.changed = threading.Condition(threading.RLock())
        self.history: list[tuple[str, str]] = []  # (project, container) of each start, death and removal
        self._behaviours: dict[str, Behaviour] = {}
        self.tables: dict[str, Table] = {}  # what the gateway was told, by project
        self._next_port = 20000

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
            self.note(container)

    def note(self, container: FakeContainer) -> None:
        self.history.append((container.project_name, container.launch.name))
        self.changed.notify_all()


class FakeRuntime:
    name: Literal["docker", "process", "fake"] = "fake"

    def __init__(self, project_name: str, engine: FakeEngine, faults: Faults | None = None) -> None:
        self._project_name = project_name
        self.engine = engine
        self.faults = faults or Faults()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def find(self, name: str) -> FakeContainer | None:
        self.faults.look()
        self.engine.settle()
        container = self.engine.all.get(name)
        return container if container and container.project_name == self._project_name else None

    def _existing(self, name: str) -> FakeContainer:
        container = self.find(name)
        if container is None:
            raise WorldError(f"there is no container {name}")
        return container

    def containers(self) -> tuple[Container, ...]:
        self.faults.look()
        with self.engine.changed:
            found = (self.find(name) for name in sorted(self.engine.all))
            return tuple(container.observed() for container in found if container)

    def inspect(self, name: str) -> Container | None:
        with self.engine.changed:
            container = self.find(name)
            return container.observed() if container else None

    def saw_end(self, name: str) -> bool:
        container = self.inspect(name)
        return container is not None and container.state is ContainerState.EXITED

    def prepare(self, program: Program, progress: Tell) -> str:
        self.faults.look()
        if program.builtin and program.builtin not in self.engine.builtins:
            raise WorldError(f"there is no built-in {program.builtin!r}")
        return f"sha256:{hashlib.sha256(str(program).encode()).hexdigest()}"

    def images(self) -> tuple[ImageInfo, ...]:
        return tuple(
            ImageInfo(name, name, self.prepare(Program(builtin=name), lambda _: None)) for name in self.engine.builtins
        )

    def create(self, launches: Sequence[Launch]) -> None:
        for launch in launches:
            with self.faults.effect(f"create {launch.name}"), self.engine.changed:
                if launch.name in self.engine.all:
                    continue
                port = launch.publish[1] if launch.publish else self.engine.free_port()
                behaviour = self.engine.behaviour_of(launch)
                gpus = choose_gpus(
                    launch.gpus, self.engine.capacity.gpus, self.engine.gpus_taken(), str(launch.address)
                )
                self.engine.all[launch.name] = FakeContainer(self._project_name, launch, port, behaviour, gpus)

    def capacity(self) -> Capacity:
        self.faults.look()
        return self.engine.capacity

    def mounts(self, folder: Path, witness: str) -> Literal["read-only", "links", ""]:
        return "read-only"

    def base_dir(self, name: str) -> str:
        return "/opt/ml"

    def start(self, name: str) -> Container:
        with self.faults.effect(f"start {name}"), self.engine.changed:
            container = self._existing(name)
            if container.state is not ContainerState.RUNNING:
                container.state, container.exit_code = ContainerState.RUNNING, None
                container.started_at = self.engine.clock.now()
                container.print(container.behaviour.lines, container.started_at)
                for path, content in container.behaviour.files.items():
                    self._keep(container, path, content)
                self.engine.note(container)
            return container.observed()

    def stop(self, name: str, *, grace_seconds: float) -> None:
        with self.faults.effect(f"stop {name}"):
            container = self.find(name)
            if container is None or container.state is not ContainerState.RUNNING:
                return
            if container.behaviour.on_sigterm is None:
                self.engine.clock.sleep(grace_seconds)
            self.engine.end(
                container, 137 if container.behaviour.on_sigterm is None else container.behaviour.on_sigterm
            )

    def remove(self, name: str) -> None:
        with self.faults.effect(f"remove {name}"), self.engine.changed:
            container = self.find(name)
            if container:
                del self.engine.all[name]
                used = {mount.volume for other in self.engine.all.values() for mount in other.launch.mounts}
                for volume in self.engine.volumes.keys() - used:
                    del self.engine.volumes[volume]
                self.engine.note(container)

    def destroy(self) -> None:
        with self.faults.effect("destroy"):
            pass

    def put(self, name: str, path: str, source: Path) -> None:
        with self.faults.effect(f"put {name} {path}"):
            container = self._existing(name)
            try:
                for file in _files(source):
                    inner = PurePosixPath(path, *file.relative_to(source).parts)
                    self._keep(container, str(inner), file.read_bytes())
            except OSError as error:
                raise WorldError(f"cannot copy {source}: {error.strerror}") from error

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            with self.faults.effect(f"write {name} {path}"):
                self._keep(self._existing(name), path, content)

    def read(self, name: str, path: str) -> bytes | None:
        return self._seen_by(self._existing(name)).get(path)

    def _seen_by(self, container: FakeContainer) -> dict[str, bytes]:
        """All files of a container by path, those of its mounts included."""
        seen: dict[str, bytes] = {}
        for mount in container.launch.mounts:
            found = dict(self.engine.volumes.get(mount.volume, {}))
            if mount.source:
                source = Path(mount.source)
                found = {str(file.relative_to(source)): file.read_bytes() for file in _files(source)}
            seen |= {f"{mount.path}/{path}": content for path, content in found.items()}
        return seen | container.files

    def _keep(self, container: FakeContainer, path: str, content: bytes) -> None:
        """Write a file where the container has it: of its own, or in a volume."""
        for mount in container.launch.mounts:
            if mount.volume and path.startswith(f"{mount.path}/"):
                self.engine.volumes.setdefault(mount.volume, {})[path.removeprefix(f"{mount.path}/")] = content
                return
        container.files[path] = content

    def get(self, name: str, path: str) -> Iterator[bytes]:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for inner, content in sorted(self._seen_by(self._existing(name)).items()):
                if inner.startswith(f"{path}/"):
                    member = tarfile.TarInfo(inner.removeprefix(f"{path}/"))
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        yield stream.getvalue()

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        return (line for _, line in self.timed_logs(name, follow=follow, tail=tail))

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        container = self.find(name)
        if container is None:
            return
        given = 0 if tail is None else max(0, len(container.lines) - tail)
        while True:
            ended = not follow or self.find(name) is not container or container.state is not ContainerState.RUNNING
            yield from container.lines[given:]
            given = len(container.lines)
            if ended:
                return
            self.engine.clock.sleep(0.01)

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        container = self._existing(name)
        unknown = [path for path in paths if path not in container.behaviour.answers]
        if container.state is not ContainerState.RUNNING or unknown:
            raise WorldError(f"{name} does not answer {unknown or list(paths)}")
        container.posts += paths if post else ()
        return [container.behaviour.answers[path] for path in paths]

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        left = threading.Event()
        try:
            yield self._events_since(len(self.engine.history), left)
        finally:
            left.set()

    def _events_since(self, seen: int, left: threading.Event) -> Iterator[str]:
        while not left.is_set():
            self.engine.settle()
            with self.engine.changed:
                if len(self.engine.history) == seen:
                    self.engine.changed.wait(0.02)
                new, seen = self.engine.history[seen:], len(self.engine.history)
            yield from (name for project_name, name in new if project_name == self._project_name)

    def checks(self) -> tuple[Check, ...]:
        return (Check("fake", True, "in memory"),)


def _files(source: Path) -> list[Path]:
    """`source` itself when it is a file, else all files below it, links followed."""
    if not source.is_dir():
        return [source]
    return [file for entry in sorted(source.iterdir()) for file in _files(entry)]


# -- gateway ---------------------------------------------------------------------------------------


class FakeGateway(Gateway):
    """The real changes of the real table, but no Envoy: health is that of the `FakeEngine`'s containers."""

    def __init__(self, runtime: FakeRuntime, project_name: str, settings: Settings | None = None) -> None:
        super().__init__(runtime, project_name, settings or Settings())
        self._engine, self._faults, self._project_name = runtime.engine, runtime.faults, project_name

    def start(self, report: Report) -> None:
        for container in self._runtime.containers():
            if container.address == GATEWAY and container.name != self._name:
                self._runtime.remove(container.name)
        self._runtime.create([self.launch()])
        self._runtime.start(self._name)

    def observe(self, containers: Collection[Container]) -> ObservedGateway:
        if not any(c.name == self._name and c.state is ContainerState.RUNNING for c in containers):
            return ObservedGateway()
        table = self._table()
        routes = {name: route for name, route in table.routes.items() if route.targets}
        return ObservedGateway(answers=True, routes=routes, probes=self.probes(table.names()))

    def probes(self, container_names: Collection[str]) -> Mapping[str, Probe]:
        known = self._table().names()
        return {name: self._probe(name) for name in sorted(container_names) if name in known}

    def counters(self) -> Mapping[tuple[str, str, str], Counters]:
        return {key: Counters() for key in self._table().serving}

    def set_route(self, endpoint: str, route: Route | None, addresses: Addresses) -> None:
        with self._faults.effect(f"route {endpoint}"):
            super().set_route(endpoint, route, addresses)

    def admit(self, endpoint: str, target: Target, addresses: Addresses) -> None:
        with self._faults.effect(f"admit {endpoint} {' '.join(target.instances)}"):
            super().admit(endpoint, target, addresses)

    def forget(self, endpoint: str, container_name: str) -> None:
        with self._faults.effect(f"forget {endpoint} {container_name}"):
            super().forget(endpoint, container_name)

    def answers(self, endpoint: str) -> bool:
        """Whether any request to the endpoint would be answered now: each target with a weight has a healthy one."""
        table = self._table()
        route = table.routes.get(endpoint)
        keys = [TargetKey(endpoint, t.variant, t.hash) for t in route.targets if t.weight] if route else []
        pools = [table.pools[table.serving[key]] if key in table.serving else () for key in keys]
        return bool(pools) and all(any(self._probe(instance.name).healthy for instance in pool) for pool in pools)

    def _probe(self, name: str) -> Probe:
        self._engine.settle()
        container = self._engine.all.get(name)
        if container is None:
            return Probe(healthy=False)
        healthy = container.is_healthy(self._engine.clock.now())
        return Probe(healthy, container.behaviour.active_requests if healthy else 0, "127.0.0.1", container.port)

    def _table(self) -> Table:
        container = self._runtime.inspect(self._name)
        if container is None or container.state is not ContainerState.RUNNING:
            raise WorldError("the gateway does not answer")
        return self._engine.tables.get(self._project_name, Table())

    def _change(self, change: Callable[[Table], Table]) -> None:
        with self._lock:
            self._engine.tables[self._project_name] = change(self._table())


# -- store -----------------------------------------------------------------------------------------


_STORE_LOCK = threading.Lock()  # of all, since several may share their objects


class FakeStore:
    """Objects in memory. `objects` may be shared by several stores, as a bucket is."""

    uri = "file:///fake"

    def __init__(self, objects: dict[str, bytes] | None = None, faults: Faults | None = None) -> None:
        self.objects: dict[str, bytes] = {} if objects is None else objects
        self.faults = faults or Faults()
        self._lock = _STORE_LOCK

    def _etag(self, key: str) -> str | None:
        return hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest() if key in self.objects else None

    def read(self, key: str) -> tuple[bytes, str] | None:
        self.faults.look()
        check_key(key, self.uri)
        with self._lock:
            etag = self._etag(key)
            return (self.objects[key], etag) if etag else None

    def read_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        found = ((key, self.read(key)) for key in keys)
        return {key: content[0] for key, content in found if content}

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        check_key(key, self.uri)
        with self.faults.effect(f"store {key}"), self._lock:
            present = self._etag(key)
            if if_absent and present:
                raise Conflict(f"{self.uri}/{key} exists already")
            if if_match is not None and present != if_match:
                raise Conflict(f"{self.uri}/{key} has changed")
            self.objects[key] = data
            return self._etag(key) or ""

    def upload(self, key: str, file: Path, progress: CountBytes | None = None) -> Stored:
        check_key(key, self.uri)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise WorldError(f"cannot read {file}: {error.strerror}") from error
        with self.faults.effect(f"upload {key}"), self._lock:
            self.objects[key] = data
        if progress and data:
            progress(len(data))
        return Stored(len(data), hashlib.sha256(data).hexdigest())

    def download(self, key: str, file: Path, *, sha256: str | None = None, progress: CountBytes | None = None) -> None:
        content = self.read(key)
        if content is None:
            raise missing(key, self.uri)
        check_sha256(hashlib.sha256(content[0]).hexdigest(), sha256, key=key, uri=self.uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[0])
        if progress and content[0]:
            progress(len(content[0]))

    def read_part(self, key: str, start: int, size: int, *, if_match: str) -> bytes:
        content = self.read(key)
        if content is None or content[1] != if_match or len(content[0]) < start + size:
            raise changed(key, self.uri)
        return content[0][start : start + size]

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        self.faults.look()
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix))
            return tuple(Entry(key, len(self.objects[key]), self._etag(key) or "") for key in keys)

    def delete(self, key: str) -> None:
        check_key(key, self.uri)
        with self.faults.effect(f"delete {key}"), self._lock:
            self.objects.pop(key, None)
