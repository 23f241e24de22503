"""What stands before every page: the names we are known by, other sites' pages, strangers; and the headers of answers.

`web.guard` decides about names and sites, `access` about people. Everything a page shows may come from a program's
output, so that no script runs but our own files, whatever a page contains.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, make_response, redirect, render_template, request
from werkzeug.exceptions import abort
from werkzeug.wrappers import Response as AnyResponse

from sagespec.dashboard.access import MARK_FIELD, MARK_HEADER, Access, Visitor
from sagespec.web.guard import names_of, refusal

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser says of a form of ours that it comes from nowhere
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
READING = ("GET", "HEAD")
OPEN = ("static", "sign_in")  # what strangers may ask for


def defend(app: Flask, access: Access) -> None:
    settings = access.settings
    own = [] if settings.host in ("0.0.0.0", "::") else [f"{settings.host}:{access.port}"]  # noqa: S104
    names = names_of(access.port, [*own, *settings.allowed_hosts])

    def admit() -> Any:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if refused := refusal(headers, names):
            return Response(refused.text, refused.status, content_type="text/plain; charset=utf-8")
        g.visitor = visitor_of(access, headers)
        if g.visitor is None:
            return _stranger(access)
        if request.method not in READING and request.endpoint not in OPEN:
            return _check_change(access, headers)
        return None

    def harden(response: AnyResponse) -> AnyResponse:
        response.headers.update(HEADERS)
        if request.endpoint == "static" and response.status_code in (200, 304):
            response.headers["Cache-Control"] = "public, max-age=3600"
        else:
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.post("/sign-in")
    def sign_in() -> AnyResponse:
        if settings.auth != "proxy" and access.is_token(request.form.get("token", "")):
            return _with_cookie(access, redirect(f"{request.script_root}/", 303))
        return make_response(render_template("stranger.html", auth=settings.auth, was_wrong=True), 401)

    app.before_request(admit)
    app.after_request(harden)


def visitor_of(access: Access, headers: dict[str, str]) -> Visitor | None:
    if access.settings.auth != "proxy" and access.is_token(_bearer(headers)):
        return Visitor("", access.settings.write is True)
    return access.visitor(headers, request.cookies, request.remote_addr or "")


def _bearer(headers: dict[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ").strip()


def _stranger(access: Access) -> Any:
    """The token in the address becomes a cookie, and leaves the address: it is in no history, and in no picture."""
    if request.endpoint in OPEN:
        return None
    given = request.args.get("token", "")
    if access.settings.auth != "proxy" and request.method in READING and access.is_token(given):
        rest = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
        where = f"{request.script_root}{request.path}" + (f"?{urlencode(rest)}" if rest else "")
        return _with_cookie(access, redirect(where, 303))
    return make_response(render_template("stranger.html", auth=access.settings.auth, was_wrong=bool(given)), 401)


def _with_cookie(access: Access, response: AnyResponse) -> AnyResponse:
    response.set_cookie(
        access.cookie_name,
        access.cookie,
        max_age=30 * 86400,
        path=access.settings.base_path or "/",
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return response


def _check_change(access: Access, headers: dict[str, str]) -> None:
    mark = headers.get(MARK_HEADER, "") or request.form.get(MARK_FIELD, "")
    if not access.is_marked(mark) and not access.is_token(_bearer(headers)):
        abort(403, "this request does not come from a page of this dashboard: reload the page and try again")
    if not g.visitor.may_write:
        abort(403, "the dashboard is read-only: set `write: true` under `dashboard` in sagespec.yaml")
