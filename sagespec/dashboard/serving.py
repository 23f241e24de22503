"""The dashboard while it is served: where it listens, and who may ask."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagespec.dashboard.access import Access, check
from sagespec.dashboard.app import create_app
from sagespec.dashboard.happenings import Happenings
from sagespec.errors import disk_problems
from sagespec.private import write_private
from sagespec.project import Project
from sagespec.spec.dashboard import DashboardSettings
from sagespec.traffic.recorder import Recorder
from sagespec.verbs.feedback import keep
from sagespec.web.places import claimed, write_place
from sagespec.web.server import App, Server
from sagespec.web.snapshots import Snapshots

SERVER = "dashboard"  # under which others find it
FURTHER_PORTS = 20  # that are tried after the usual one, where none is set


@dataclass(frozen=True)
class Serving:
    """url: with the token, for whoever started it. address: without."""

    url: str
    address: str


@contextmanager
def serving(
    project: Project,
    snapshots: Snapshots,
    happenings: Happenings,
    *,
    port: int | None = None,
    write: bool | None = None,
) -> Iterator[Serving]:
    """Answer browsers until the end of the block. port, write: instead of what sagespec.yaml says.

    snapshots, happenings: shared with the control plane and the loop, where those run in this process. SpecError where
    the settings would open it to everybody; WorldError where the port is taken, or another process serves it.
    """
    check(project.parts.settings.dashboard, project.parts.settings_origins)
    settings = project.parts.settings.dashboard
    if write is not None:
        settings = settings.model_copy(update={"write": write})
    with claimed(project.parts.kept, SERVER):
        late = _Late()
        server = Server(late.answer, settings.host, _ports(settings, port))
        access = Access(settings, token_of(project.parts.kept), server.port)
        late.app = create_app(project, snapshots, access, happenings).wsgi_app
        address = f"{_reachable(server.url)}{settings.base_path}/"
        url = address if settings.auth == "proxy" else f"{address}?token={access.token}"
        server.start()
        parts = project.parts
        try:
            write_place(project.parts.kept, SERVER, url)
            with Recorder(
                lambda: parts.gateway, parts.traffic, parts.traffic_file, keep=lambda: keep(parts)
            ):  # where no loop does it
                yield Serving(url, address)
        finally:
            server.stop()


class _Late:
    """The app of a server that must listen before its app can be made, since who may ask depends on the port."""

    app: App

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self.app(environ, start_response)


def _ports(settings: DashboardSettings, port: int | None) -> list[int]:
    if port is not None or settings.sets_port:
        return [port or settings.port]
    return list(range(settings.port, settings.port + FURTHER_PORTS))


def _reachable(url: str) -> str:
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def token_of(folder: Path) -> str:
    """The project's token, made once: a browser stays signed in when the dashboard is started again."""
    file = folder / "dashboard.key"
    with suppress(OSError):
        if len(found := file.read_text().strip()) >= 32:
            return found
    token = secrets.token_urlsafe(32)
    with disk_problems(f"cannot write {file}"):
        write_private(file, f"{token}\n")
    return token
