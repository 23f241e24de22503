"""The control plane of a project, listening on this machine: what `sagespec api` and tests start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sagespec.api.app import ControlPlane
from sagespec.api.changes import Changes
from sagespec.api.dispatch import Dispatch
from sagespec.api.holds import MOST_HELD, Holds, Places
from sagespec.api.key import make_key
from sagespec.api.runtime import Runtime
from sagespec.api.service import Service
from sagespec.buckets.layout import Layout
from sagespec.buckets.names import FOLDER
from sagespec.buckets.writing import make_bucket
from sagespec.events import Event, EventKind
from sagespec.private import NAME as PRIVATE
from sagespec.private import make_folder
from sagespec.project import Project
from sagespec.s3.app import S3App
from sagespec.verbs.states import Status
from sagespec.web.guard import names_of
from sagespec.web.loop import Wakes
from sagespec.web.places import claimed, last_port, write_place
from sagespec.web.server import Server
from sagespec.web.snapshots import Snapshots

NAME = "api"
HOST = "127.0.0.1"
USUAL_PORTS = range(8081, 8181)  # where none is set, tried in this order
THREADS = MOST_HELD + 64
BUCKET = "sagespec"  # there from the start, for clients that make none


@dataclass(frozen=True)
class Listening:
    """A control plane that answers. wakes: for the loop, to be woken. report: to be told of what the loop does."""

    url: str
    service: Service
    wakes: Wakes

    def report(self, event: Event) -> None:
        if event.kind not in (EventKind.LOG, EventKind.PROGRESS):
            self.service.snapshots.forget()
            self.service.changes.tell()


def _ports(project: Project) -> Sequence[int]:
    settings = project.parts.settings.api
    if settings.sets_port:
        return [settings.port]
    last = last_port(project.parts.kept, NAME)
    return USUAL_PORTS if last is None else [last, *USUAL_PORTS]


def look(project: Project) -> Status:
    """As of when it began: a spec that is written while the engine is being asked is not in it."""
    begun = datetime.now(UTC)
    return replace(project.status(), at=begun)


@contextmanager
def listening(
    project: Project,
    *,
    ports: Sequence[int] = (),
    read_only: bool = False,
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Listening]:
    """The control plane, until the block ends. folder: for specs, in place of the one of sagespec.yaml.

    WorldError when another process is the project's control plane, or all ports are taken.
    """
    settings = project.parts.settings.api
    snapshots, changes, wakes = Snapshots(partial(look, project)), Changes(), Wakes()
    service = Service(project, snapshots, changes, wakes.ask, read_only=read_only, folder=folder)
    places, names = Places(), set[str]()
    with claimed(project.parts.kept, NAME):
        if not read_only:
            make_folder(service.specs)  # a project without specs yet has a loop all the same
        key = make_key(project.parts.kept)
        holds = Holds(changes, lambda: snapshots.status(1.0), places)
        dispatch = Dispatch(service, key if settings.auth == "aws" else None, holds)
        app = ControlPlane(dispatch, names, S3App(project.root / PRIVATE / FOLDER), Runtime(service).answer, tell)
        server = Server(app, HOST, ports or _ports(project), threads=THREADS)
        names |= names_of(server.port)
        if not read_only:
            make_bucket(Layout(project.root / PRIVATE / FOLDER), BUCKET)
        server.start()
        try:
            write_place(project.parts.kept, NAME, server.url)
            yield Listening(server.url, service, wakes)
        finally:
            places.closed.set()
            service.books.ending.set()
            changes.tell()
            server.stop()
            service.books.close()
