"""One page: whole for a browser, its live part for htmx, with an ETag so that what did not change is not sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify, render_template, request

from sagespec.dashboard.access import Visitor
from sagespec.dashboard.desk import desk, visitor
from sagespec.errors import Problem, WorldError

OLD_SECONDS = 10.0
EVERY_SECONDS = 2  # a page asks for its live part
NAVIGATION = (
    ("Overview", "/", ("home",)),
    ("Jobs", "/jobs", ("jobs", "job", "compare")),
    ("Endpoints", "/endpoints", ("endpoints", "endpoint", "revisions", "rollback", "trial", "ab")),
    ("Models", "/models", ("models",)),
    ("Plan", "/plan", ("plan",)),
    ("Queue", "/queue", ("queue",)),
    ("Events", "/events", ("events",)),
    ("Source", "/source", ("source",)),
)


class NotThere(WorldError):
    """The address names nothing that is, or was."""


def page(name: str, /, **values: Any) -> Response:
    """The page `name`, whose template has blocks `head`, `live` and `more`; `live` is what is asked for again.

    scripts: files of static/ beside app.js. every: seconds until it is asked for again.
    """
    is_fragment = "HX-Request" in request.headers
    seen = desk().latest.seen()
    age = (datetime.now(UTC) - seen.value.at).total_seconds() if seen.value else 0.0
    given = {
        "status": seen.value,
        "age": age // 5 * 5 if age > OLD_SECONDS else 0,
        "problems": seen.problems,
        "deeds": desk().deeds.shown(),
        **_frame(name),
        **values,
    }
    if is_fragment:
        text = render_template(f"{name}.html", is_fragment=True, **given)
        desk().rendered.put(_asked(), text)
        return _with_etag(text)
    return Response(render_template(f"{name}.html", is_fragment=False, **given), mimetype="text/html")


def failure(title: str, problems: Sequence[Problem], status: int) -> Response:
    """A page that says what is wrong; as JSON where JSON was asked for."""
    if request.path.endswith(".json"):
        response = jsonify({"error": [problem.as_json() for problem in problems]})
        response.status_code = status
        return response
    given = _frame("error") | {"title": title, "problems": problems, "every": 10}
    is_fragment = "HX-Request" in request.headers
    return Response(render_template("error.html", is_fragment=is_fragment, **given), status, mimetype="text/html")


def _frame(name: str) -> dict[str, Any]:
    query = request.query_string.decode(errors="replace")
    return {
        "page_name": name,
        "navigation": NAVIGATION,
        "project_name": desk().project.parts.settings.name,
        "visitor": visitor(),
        "mark": desk().access.mark if visitor().may_write else "",
        "here": f"{request.script_root}{request.path}" + (f"?{query}" if query else ""),
        "every": EVERY_SECONDS,
        "scripts": (),
    }


def rendered_just_now() -> Response | None:
    """Before a page is made: the live part, if another tab has just asked for the same."""
    if request.method != "GET":
        desk().rendered.forget()
    if request.method != "GET" or "HX-Request" not in request.headers:
        return None
    text = desk().rendered.get(_asked())
    return None if text is None else _with_etag(text)


def _asked() -> tuple[str, Visitor]:
    return request.full_path, visitor()


def _with_etag(text: str) -> Response:
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return Response(status=304, headers={"ETag": etag})
    return Response(text, mimetype="text/html", headers={"ETag": etag})
