"""The Runtime protocol: what an engine must do.

Called by `observe`, `apply`, `run`, `serve` and `gateway`. `docker/`, `process/` and `swarm/` implement it, and one
contract suite (tests/contracts) is run against each and against the in-memory fake. A runtime knows containers, files
and logs; it knows nothing of jobs, variants or routes beyond their labels.

Every method may raise WorldError. Paths inside a container are relative to /opt/ml.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

from sagespec.errors import WorldError
from sagespec.state.launches import Launch
from sagespec.state.observed import Capacity, Container
from sagespec.state.programs import Program

READ_LIMIT_BYTES = 16 * 2**20
LONGEST_LINE_BYTES = 2 * 2**20  # of a log; a longer one, as of a progress bar that only ever goes back, comes in pieces


class CannotStart(WorldError):
    """The image lacks the program that its container should run, so trying again does not help."""


class NoRoom(WorldError):
    """None of several machines has what a container asks for as things are: one may have it later."""


class PortTaken(WorldError):
    """Somebody else listens where a container is to be published."""


@dataclass(frozen=True)
class Check:
    """One line of `sagespec doctor`: what was checked, whether it passed, and how to fix it."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "fix": "" if self.ok else self.fix}


@dataclass(frozen=True)
class ImageInfo:
    """A built-in image as the engine has it; `digest` is '' when it is missing (or needs none). created_at: in seconds
    since 1970, where that was asked for. project, model: of an image that has a model in it, whose, and which."""

    name: str
    reference: str
    digest: str
    size: int = 0
    created_at: float = 0.0
    project: str = ""
    model: str = ""

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "reference": self.reference, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Use:
    """What a plan knows of a container before there is one: what would run in it, and how."""

    program: Program
    command: Literal["train", "serve"]
    entrypoint: tuple[str, ...] = ()
    isolated: bool = False

    @classmethod
    def of(cls, launch: Launch) -> Use:
        return cls(launch.program, launch.command, launch.entrypoint, launch.isolated)


Tell = Callable[[str], None]


def untold(_line: str) -> None:
    """For what nobody is told of."""


EndSeen = Literal["watched", "unsure"]

UNUSED_VOLUME_DAYS = 1  # a volume that was filled so long ago, and that no container names, is a killed run's


class Volumes(Protocol):
    """The volumes that a launch can name. Those of mounts that are not there are made, empty, with the container."""

    def fill(self, name: str, source: Path) -> None:
        """Make a volume with the content of a folder of this machine, which may be moved there.

        Takes as long as the folder is large. Asked after a `prepare`, or a
        `has_image` that found one.
        """
        ...

    def has(self, name: str) -> bool: ...

    def send(self, launch: Launch, tell: Tell) -> None:
        """Have what is in the volumes of `launch` wherever that may be started; it has not been created yet. Takes as
        long as they are large. Without it, or where more is put into the container, `start` does."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """The ones that no container names."""
        ...


class Runtime(Protocol):
    name: str  # one of spec/runtimes.py
    runs_images: bool  # what runs is an image, apart from this machine; else a program of this machine, among others

    @property
    def volumes(self) -> Volumes: ...

    @property
    def calls(self) -> Mapping[str, int]:
        """How many requests the engine was sent, `done` and `failed`; {} where there is none to send them to."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether what it publishes listens on this machine, so that its ports can be looked at here."""
        ...

    @property
    def where(self) -> str:
        """Where its containers are, for people: two runtimes of one store that say the same have the same ones."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

    def move_to(self, root: Path) -> None:
        """Look for folders of one's own in this folder from here on."""
        ...

    def containers(self) -> tuple[Container, ...]:
        """All containers of this project, any state, sorted by name: one list call to the engine."""
        ...

    def inspect(self, name: str) -> Container | None:
        """The present state of one container of this project, with `restarts`; None when it is gone."""
        ...

    def look(self, names: Collection[str]) -> Mapping[str, Container | None]:
        """`inspect` of several, in the order of the names. Asked several times a second while a job runs, so an engine
        that can tell of all in one call does."""
        ...

    def end_seen(self, name: str) -> EndSeen:
        """Whether the engine watched a container end. Then its exit code is that of its program.

        "unsure" is whatever may have ended with its engine or machine: the engine was down then, or has been started
        again since, or no longer remembers (engines keep only the last few hundred events). A program that leaves
        with 0 on SIGTERM looks like one that was done, and its half model like a whole one. Unsure, too, is one that
        has not ended, or is not there.
        """
        ...

    def check(self, use: Use) -> None:
        """WorldError when a container for this could not be started, as things are here. Asked for each plan, so it
        builds and fetches nothing."""
        ...

    def prepare(self, program: Program, tell: Tell) -> str:
        """Make `program` startable (build or fetch a missing image) and return its digest.

        `tell` gets a line of text now and then. Repeats are cheap. WorldError says what to do when the
        image is missing and cannot be built, or when this engine cannot run images.
        """
        ...

    def digests_of(self, program: Program) -> frozenset[str]:
        """All that the image of `program` is known by now, what `prepare` would return among them; empty where that
        has something to build or fetch, or would fail."""
        ...

    def image_of(self, program: Program) -> str:
        """What a container of `program` would be made from now, as `Container.image` names it; '' where that cannot
        be told, or where a program is never another one."""
        ...

    def has_image(self, image: str) -> bool:
        """Whether a container can still be made from what `Container.image` names."""
        ...

    def create(self, launches: Sequence[Launch], tell: Tell = untold) -> None:
        """Create the containers, not started; those of one call can reach each other by `alias`, and those that name
        one volume are on one machine.

        One that exists under its name already is left as it is. Creates the project's network, and the volumes
        that mounts name, if needed. Each gets GPUs of its own, and keeps them until it is removed or, as a job's,
        has ended; WorldError when too few are free. Where there are several machines, it waits a while for one that has
        room; `tell` gets a line of text then, and NoRoom comes in the end.
        """
        ...

    def mounts(self, folder: Path, witness: str) -> Literal["read-only", "links", ""]:
        """How a Mount of `folder` would be seen by containers: read-only; as links, through which a program could
        write; or '' when the engine cannot reach it. Proved by the file `witness` in it, a path relative to it.

        Asked after a `prepare`; repeats are cheap.
        """
        ...

    def capacity(self) -> Capacity:
        """What this engine has for all containers, of whatever project. Remembered where it is one machine; where they
        are several, which come and go, that of those which take work now."""
        ...

    def base_dir(self, name: str) -> str:
        """Where the container `name` sees its /opt/ml tree: '/opt/ml', or the folder used in its place."""
        ...

    def put(self, name: str, path: str, source: Path) -> None:
        """Copy a local file or folder to `path` in a created or running container (folders: the content).

        Parents are made. Links in `source` are followed. Works against a remote engine.
        """
        ...

    def write(self, name: str, files: Mapping[str, bytes], *, private: bool = False) -> None:
        """Write small files one after the other, each to a temporary name and renamed into place, so that a
        watcher (Envoy) sees whole files only. Works in created and in running containers. private: the container's
        user alone may read them."""
        ...

    def read(self, name: str, path: str, limit: int = READ_LIMIT_BYTES) -> bytes | None:
        """A small file's content, in any state of the container, and of a larger one the first `limit` bytes.

        None when there is no file: what a program left there is not trusted, so a link is not followed, and a FIFO
        not waited for. Whoever must know whether there is more asks for one byte more.
        """
        ...

    def get(self, name: str, path: str) -> Iterator[bytes]:
        """The folder `path` as a tar stream whose members are relative to it; an empty tar when it is missing."""
        ...

    def start(self, name: str) -> Container:
        """Start a created or exited container, and again whenever it dies if Launch.keep_running says so; one that is
        running, or waits to be started again, is left alone. CannotStart when it has no such program,
        PortTaken when it cannot be published."""
        ...

    def start_again(self, name: str) -> bool:
        """Start a container that has ended, as it is; whether it did. One that never ran is left alone, and so is one
        that takes its name meanwhile: it may not be filled yet."""
        ...

    def stop(self, name: str, *, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL after the grace; it stays ended. One that does not run, or is missing, is fine."""
        ...

    def stopping(self, name: str, *, grace_seconds: float) -> Callable[[], None]:
        """A `stop` for later, of the container that has this name now: never of one that gets the name meanwhile."""
        ...

    def remove(self, name: str) -> None:
        """Remove a container (killing it if it runs) with its files, and volumes that no other container names.
        What is mounted from this machine stays. A missing one is fine."""
        ...

    def why_not_run(self, name: str) -> str:
        """Why the program of a container that has ended never ran, its file being there; '' if it ran, or if it was
        checked before the start."""
        ...

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Lines of stdout and stderr in order, without their newlines, undecodable bytes replaced. One of more than
        LONGEST_LINE_BYTES comes as several.

        follow ends when the container has ended (all its lines given). None for a missing container.
        """
        ...

    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        """The lines of `logs`, each with the time at which it was printed: seconds since 1970 by the engine's
        clock, right to a tenth of a second, whenever it is read."""
        ...

    def fetch(self, name: str, port: int, paths: Sequence[str], *, post: bool = False) -> list[bytes]:
        """Bodies of HTTP GETs (or empty POSTs) to 127.0.0.1:port as seen by the *gateway* container itself.

        One round trip to the engine for all paths. WorldError when it does not answer or not with 200.
        """
        ...

    def events(self) -> AbstractContextManager[Iterator[str]]:
        """Names of this project's containers as they start, die or go; blocking. Leaving ends the stream."""
        ...

    def images(self) -> tuple[ImageInfo, ...]:
        """The built-in images and whether the engine has them."""
        ...

    def built_images(self) -> tuple[ImageInfo, ...]:
        """All that sagespec has built on this engine, for any project and by any release; their names are those of
        built-ins, or '' for folders of your own, and for what has a model in it. None where programs need no images."""
        ...

    def reference_of(self, program: Program) -> str:
        """The image that `program` would run from; '' where programs need none."""
        ...

    def remove_image(self, reference: str) -> bool:
        """Remove an image, unless a container has it; whether it is gone."""
        ...

    def destroy(self) -> None:
        """Remove what remains of the project once its containers are gone (the network, empty folders)."""
        ...

    def checks(self) -> tuple[Check, ...]:
        """What `doctor` shows of this engine."""
        ...
