"""A `Runtime` on an engine in memory; passes the contract suite of the real ones."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal, Self

from sagespec.errors import WorldError
from sagespec.runtimes.machine import choose_gpus
from sagespec.runtimes.protocol import READ_LIMIT_BYTES, Check, EndSeen, ImageInfo, Tell, Use, untold
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container, ContainerState
from sagespec.state.programs import Builtin, Program
from tests.fakes.engine import FakeContainer, FakeEngine, Link
from tests.fakes.faults import Faults


class FakeVolumes:
    def __init__(self, engine: FakeEngine, faults: Faults) -> None:
        self._engine, self._faults = engine, faults

    def fill(self, name: str, source: Path) -> None:
        with self._faults.effect(f"fill {name}"), self._engine.changed:
            self._engine.volumes[name] = {str(file.relative_to(source)): file.read_bytes() for file in _files(source)}

    def send(self, launch: Launch, tell: Tell) -> None:
        """All run where they are."""

    def has(self, name: str) -> bool:
        return name in self._engine.volumes

    def remove(self, names: Iterable[str]) -> None:
        used = {mount.volume for other in self._engine.all.values() for mount in other.launch.mounts}
        for name in set(names) - used:
            self._engine.volumes.pop(name, None)


class FakeRuntime:
    name = "fake"
    runs_images = True
    is_local = True
    where = "memory"
    calls: Mapping[str, int] = MappingProxyType({})

    def __init__(self, project_name: str, engine: FakeEngine, faults: Faults | None = None) -> None:
        self._project_name = project_name
        self.engine = engine
        self.faults = faults or Faults()
        self.volumes = FakeVolumes(engine, self.faults)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def move_to(self, root: Path) -> None:
        """Its programs are not files."""

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
            self.engine.settle()
            ours = (c for _, c in sorted(self.engine.all.items()) if c.project_name == self._project_name)
            return tuple(container.observed() for container in ours)

    def inspect(self, name: str) -> Container | None:
        with self.engine.changed:
            container = self.find(name)
            return container.observed() if container else None

    def look(self, names: Collection[str]) -> Mapping[str, Container | None]:
        return {name: self.inspect(name) for name in names}

    def end_seen(self, name: str) -> EndSeen:
        container = self.inspect(name)
        return "watched" if container is not None and container.state is ContainerState.EXITED else "unsure"

    def check(self, use: Use) -> None:
        if str(use.program) in self.engine.cannot_start:
            raise WorldError(f"{use.program} cannot be started here")

    def prepare(self, program: Program, progress: Tell) -> str:
        self.faults.look()
        if isinstance(program, Builtin) and program.name not in self.engine.builtins:
            raise WorldError(f"there is no built-in {program.name!r}")
        return f"sha256:{hashlib.sha256(str(program).encode()).hexdigest()}"

    def built_images(self) -> tuple[ImageInfo, ...]:
        return ()

    def reference_of(self, program: Program) -> str:
        return ""

    def remove_image(self, reference: str) -> bool:
        return True

    def images(self) -> tuple[ImageInfo, ...]:
        return tuple(
            ImageInfo(name, name, self.prepare(Builtin(name), lambda _: None)) for name in self.engine.builtins
        )

    def digests_of(self, program: Program) -> frozenset[str]:
        with suppress(WorldError):
            return frozenset({self.prepare(program, lambda _: None)})
        return frozenset()

    def image_of(self, program: Program) -> str:
        is_known = isinstance(program, Builtin) and program.name in self.engine.builtins
        return f"sagespec/{program}:{self.engine.release}" if is_known else ""

    def has_image(self, image: str) -> bool:
        name = image.removeprefix("sagespec/").partition(":")[0]
        return name in self.engine.builtins and image not in self.engine.images_gone

    def create(self, launches: Sequence[Launch], tell: Tell = untold) -> None:
        for launch in launches:
            with self.faults.effect(f"create {launch.name}"), self.engine.changed:
                if launch.name in self.engine.all:
                    continue
                port = launch.publish[1] if launch.publish else self.engine.free_port()
                behaviour = self.engine.behaviour_of(launch)
                gpus = choose_gpus(
                    launch.gpus, self.engine.capacity.gpus, self.engine.gpus_taken(), str(launch.address)
                )
                image = launch.image or self.image_of(launch.program)
                self.engine.all[launch.name] = FakeContainer(
                    self._project_name, launch, port, behaviour, gpus, image=image
                )

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
                container.ended.clear()
                self.engine.starts[str(container.launch.address)] += 1
                container.print(container.behaviour.lines, container.started_at)
                for path, content in container.behaviour.files.items():
                    self._keep(container, path, content)
                self.engine.note(container)
            return container.observed()

    def start_again(self, name: str) -> bool:
        with self.engine.changed:
            container = self.find(name)
            if container is None or container.state is not ContainerState.EXITED:
                return False
            self.start(name)
            return True

    def stop(self, name: str, *, grace_seconds: float) -> None:
        self.stopping(name, grace_seconds=grace_seconds)()

    def stopping(self, name: str, *, grace_seconds: float) -> Callable[[], None]:
        container = self.find(name)

        def stop() -> None:
            with self.faults.effect(f"stop {name}"):
                if container is None or container.state is not ContainerState.RUNNING:
                    return
                if container.behaviour.on_sigterm is None:
                    self.engine.clock.sleep(grace_seconds)
                if self.find(name) is container:
                    code = container.behaviour.on_sigterm
                    self.engine.end(container, 137 if code is None else code)

        return stop

    def remove(self, name: str) -> None:
        with self.faults.effect(f"remove {name}"), self.engine.changed:
            container = self.find(name)
            if container:
                del self.engine.all[name]
                container.ended.set()
                self.engine.tables.pop(name, None)
                self.volumes.remove(mount.volume for mount in container.launch.mounts)
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

    def write(self, name: str, files: Mapping[str, bytes], *, private: bool = False) -> None:
        for path, content in files.items():
            with self.faults.effect(f"write {name} {path}"):
                self._keep(self._existing(name), path, content)

    def read(self, name: str, path: str, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        content = self._seen_by(self._existing(name)).get(path)
        return None if content is None else content[:limit]

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
                    if isinstance(content, Link):
                        member.type, member.linkname = tarfile.SYMTYPE, content.decode()
                    else:
                        member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        yield stream.getvalue()

    def why_not_run(self, name: str) -> str:
        return ""

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
            self.engine.clock.sleep(0.01, container.ended)

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
