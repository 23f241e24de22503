"""What `api`, `up` and `notebook` run: the loop, the control plane, and the dashboard, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sagespec.cli.extras import OF_WEB, need
from sagespec.cli.given import Invocation
from sagespec.events import Event, EventKind, Report

if TYPE_CHECKING:
    from sagespec.api.serve import Listening
    from sagespec.project import Project
    from sagespec.web.loop import Loop


@contextmanager
def serving(
    given: Invocation,
    project: Project,
    report: Report,
    *,
    read_only: bool = False,
    port: int | None = None,
    with_dashboard: bool = True,
) -> Iterator[Loop]:
    """The project's servers and its loop, until the block ends. report: told of all that happens."""
    need(OF_WEB, "web", what="a server")
    from sagespec.api.serve import listening
    from sagespec.reconcile.options import Options
    from sagespec.web.loop import Loop

    if not given.specs:
        (project.root / "specs").mkdir(exist_ok=True)  # clients write below it
    with ExitStack() as servers:
        told = _Told(report)
        plane = servers.enter_context(
            listening(project, ports=[port] if port else [], read_only=read_only, tell=told.note)
        )
        told.add(plane.report)
        told.listens(given, "api", plane.url, 'clients find it with: eval "$(sagespec env)"')
        if with_dashboard:
            servers.enter_context(_dashboard(given, project, plane, told))
        loop = Loop(project, Options(), told.report, plane.wakes)
        loop.start()
        servers.callback(loop.stop)
        yield loop


class _Told:
    """What happens, told to the person at the terminal and to all who listen."""

    def __init__(self, report: Report) -> None:
        self._reports = [report]

    def add(self, report: Report) -> None:
        self._reports.append(report)

    def report(self, event: Event) -> None:
        for report in self._reports:
            report(event)

    def note(self, text: str) -> None:
        self._reports[0](Event(EventKind.NOTE, text=text, at=datetime.now(UTC)))

    def listens(self, given: Invocation, server: str, url: str, more: str = "") -> None:
        if given.screen.format == "json":
            given.screen.record({"event": "listening", "server": server, "url": url})
        else:
            self.note(f"{server} listens at {url}" + (f"; {more}" if more else ""))


@contextmanager
def _dashboard(given: Invocation, project: Project, plane: Listening, told: _Told) -> Iterator[None]:
    """The dashboard beside the control plane: one look at the project for both."""
    from sagespec.dashboard.happenings import Happenings
    from sagespec.dashboard.serving import serving as serving_pages

    happenings = Happenings()
    told.add(happenings.tell)
    with serving_pages(project, plane.service.snapshots, happenings) as served:
        told.listens(given, "dashboard", served.url)
        yield
