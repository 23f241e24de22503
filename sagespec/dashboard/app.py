"""The dashboard as a WSGI app: pages of a project's jobs, endpoints and plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from sagespec.dashboard.access import Access
from sagespec.dashboard.background import Background
from sagespec.dashboard.curves import Curves
from sagespec.dashboard.deeds import Deeds
from sagespec.dashboard.defences import defend
from sagespec.dashboard.desk import NAME, Desk
from sagespec.dashboard.happenings import Happenings
from sagespec.dashboard.kept import Kept
from sagespec.dashboard.latest import Latest
from sagespec.dashboard.log import Logs
from sagespec.dashboard.pages import (
    ab,
    compare,
    endpoint,
    endpoints,
    events,
    home,
    job,
    jobs,
    models,
    queue,
    revisions,
    source,
    steering,
    trial,
)
from sagespec.dashboard.pages import plan as plan_page
from sagespec.dashboard.planned import planned
from sagespec.dashboard.recorded import recorded
from sagespec.dashboard.registered import registered
from sagespec.dashboard.rendered import Rendered
from sagespec.dashboard.rendering import NotThere, failure, rendered_just_now
from sagespec.dashboard.stream import Streams
from sagespec.dashboard.traffic import WINDOW_WORDS
from sagespec.dashboard.uncommitted import uncommitted
from sagespec.dashboard.words import FILTERS
from sagespec.errors import Problem, SagespecError, SpecError
from sagespec.project import Project
from sagespec.web.snapshots import Snapshots

OF_JOBS = (jobs.pages, job.pages, compare.pages)
OF_ENDPOINTS = (endpoints.pages, endpoint.pages, revisions.pages, steering.pages, trial.pages, ab.pages)
OF_PROJECT = (models.pages, plan_page.pages, queue.pages, events.pages, source.pages)
PAGES = (home.pages, *OF_JOBS, *OF_ENDPOINTS, *OF_PROJECT)
LARGEST_BODY_BYTES = 8 * 2**20
Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def create_app(project: Project, snapshots: Snapshots, access: Access, happenings: Happenings) -> Flask:
    """The pages of `project`. snapshots: shared with whoever else looks. happenings: of the loop, if one runs."""
    app = Flask("sagespec.dashboard", static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    latest, kept = Latest(snapshots, happenings), Kept()
    plan = Background(lambda: planned(project), every_seconds=3.0)
    past = Background(lambda: recorded(project), every_seconds=10.0)
    shelf = Background(lambda: registered(project), every_seconds=30.0)

    rendered = Rendered()

    def forget() -> None:
        for one in (latest, kept, plan, past, shelf, rendered):
            one.forget()

    app.extensions[NAME] = Desk(
        project=project,
        latest=latest,
        happenings=happenings,
        deeds=Deeds(happenings, forget),
        access=access,
        logs=Logs(),
        curves=Curves(),
        streams=Streams(),
        kept=kept,
        plan=plan,
        past=past,
        registered=shelf,
        rendered=rendered,
        uncommitted=Background(lambda: uncommitted(project), every_seconds=10.0),
    )
    app.context_processor(_context)
    defend(app, access)
    app.before_request(rendered_just_now)
    for pages in PAGES:
        app.register_blueprint(pages)
    app.register_error_handler(SagespecError, _failed)
    app.register_error_handler(HTTPException, _refused)
    if access.settings.base_path:
        app.wsgi_app = _Below(app.wsgi_app, access.settings.base_path)  # type: ignore[method-assign]
    return app


def _context() -> dict[str, Any]:
    return {"root": request.script_root, "static_url": _static_url, "window_words": WINDOW_WORDS}


def _static_url(name: str) -> str:
    """With the time of the file's last change, so that a browser keeps no older one."""
    changed = int((Path(__file__).parent / "static" / name).stat().st_mtime)
    return f"{request.script_root}/static/{name}?v={changed}"


def _failed(error: SagespecError) -> Response:
    if isinstance(error, NotThere):
        return failure("There is no such thing", error.problems, 404)
    title = "A spec is wrong" if isinstance(error, SpecError) else "That cannot be shown now"
    return failure(title, error.problems, 409 if isinstance(error, SpecError) else 503)


def _refused(error: HTTPException) -> Response:
    status = error.code or 500
    if g.get("visitor") is None:
        return Response(f"{error.description}\n", status, content_type="text/plain; charset=utf-8")
    return failure(error.name, (Problem(error.description or error.name),), status)


class _Below:
    """Takes the path under which a proxy shows the dashboard from the front of each request's."""

    def __init__(self, app: Callable[[Environ, StartResponse], Iterable[bytes]], base_path: str) -> None:
        self._app, self._base_path = app, base_path

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == self._base_path or path.startswith(f"{self._base_path}/"):
            environ["PATH_INFO"] = path[len(self._base_path) :] or "/"
        environ["SCRIPT_NAME"] = self._base_path
        return self._app(environ, start_response)
