"""Answers Prometheus: GET /metrics, and nothing else.

Needs no other package, as `watch` may run where none is. As safe as the dashboard: on this machine's own address for
this machine's names alone, so that no page of another site reads it through a browser; beyond, for who has the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from sagespec.errors import WorldError
from sagespec.listener import SECONDS, Listener, listening
from sagespec.monitoring.exposition import CONTENT_TYPE
from sagespec.ports import is_taken, port_taken
from sagespec.spec.prometheus import PrometheusSettings

PATH = "/metrics"
SHORTEST_TOKEN = 16
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


@contextmanager
def serving(settings: PrometheusSettings, root: Path, text: Callable[[], str]) -> Iterator[None]:
    """Answer with `text()` while the block runs. root: what token_file is relative to. WorldError when the port is
    taken, or the token cannot be read."""
    if settings.token_file:
        read_token(root / settings.token_file)
    with listening(_server(settings, root, text), "prometheus"):
        yield


def read_token(file: Path) -> str:
    """WorldError where it is missing, or short enough to be guessed."""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(
            f"cannot read {file}: {error}",
            why="prometheus.token_file in sagespec.yaml names it",
            fix=f"make it: (umask 077; openssl rand -hex 32 > {file})",
        ) from error
    if len(token) < SHORTEST_TOKEN:
        raise WorldError(
            f"the token in {file} has less than {SHORTEST_TOKEN} characters",
            fix=f"make another one: (umask 077; openssl rand -hex 32 > {file})",
        )
    return token


def _server(settings: PrometheusSettings, root: Path, text: Callable[[], str]) -> Listener:
    names = {*(f"{name}:{settings.port}" for name in _LOCAL), *(name.lower() for name in settings.hosts)}

    def refusal(handler: BaseHTTPRequestHandler) -> tuple[int, str] | None:
        if settings.is_local and handler.headers.get("Host", "").lower() not in names:
            return 421, f"this is not a name of this server: use {settings.url}\n"
        if settings.token_file:
            given = handler.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if not _is_token(given, root / settings.token_file):
                return 401, "send the token of prometheus.token_file: Authorization: Bearer …\n"
        if handler.path.partition("?")[0] != PATH:
            return 404, f"the figures are at {PATH}\n"
        return None

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS
        server_version, sys_version = "sagespec", ""

        def do_GET(self) -> None:
            refused = refusal(self)
            self._answer(*(refused or (200, text())), is_figures=refused is None)

        def _answer(self, status: int, content: str, *, is_figures: bool) -> None:
            body = content.encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE if is_figures else "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            if status == 401:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    try:
        return Listener((settings.host, settings.port), Handler)
    except OSError as error:
        if is_taken(settings.host, settings.port):
            fix = "stop it, or set another prometheus.port in sagespec.yaml"
            raise port_taken(settings.host, settings.port, fix=fix) from error
        raise WorldError(f"cannot listen on {settings.host}:{settings.port}: {error}") from error


def _is_token(given: str, file: Path) -> bool:
    """A token that cannot be read any more lets nobody in."""
    try:
        return hmac.compare_digest(given.encode(), read_token(file).encode())
    except WorldError:
        return False
