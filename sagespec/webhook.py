"""Hears from the forge that somebody has pushed, and has the repository looked at now instead of at the next interval.

A push is a nudge and no more: what it says is not read, so whoever has the secret can cause a look and nothing else. A
hook that is missed costs one interval.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from sagespec.errors import SagespecError, WorldError
from sagespec.listener import SECONDS, Listener, listening
from sagespec.ports import is_taken, port_taken
from sagespec.spec.report import Webhook

LONGEST_BODY_BYTES = 2**20
NUDGE_EVERY_SECONDS = 5.0  # at most so often


def is_signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether whoever sent it has the secret. headers: by lower-case name.

    GitHub and Forgejo sign the body in x-hub-signature-256, Gitea in x-gitea-signature; GitLab sends the secret itself.
    """
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    expected = {
        "x-hub-signature-256": f"sha256={signature}",
        "x-gitea-signature": signature,
        "x-gitlab-token": secret,
    }
    given = ((headers[name], right) for name, right in expected.items() if name in headers)
    return any(hmac.compare_digest(sent.encode(), right.encode()) for sent, right in given)


@contextmanager
def hearing(settings: Webhook, secret: Callable[[], str], nudge: Callable[[], object]) -> Iterator[None]:
    """Call `nudge` after pushes while the block runs. secret: asked for each request, as it may be another by now.
    WorldError when the port is taken, or there is no secret."""
    if not secret():
        raise WorldError("the secret of the webhook is empty", fix="make one: openssl rand -hex 32")
    nudges = _Nudges(nudge)
    try:
        with listening(_server(settings, secret, nudges.come), "webhook"):
            yield
    finally:
        nudges.leave()


class _Nudges:
    """At most one in a while; of several that come sooner, one at its end."""

    def __init__(self, nudge: Callable[[], object]) -> None:
        self._nudge = nudge
        self._lock = threading.Lock()
        self._last = -NUDGE_EVERY_SECONDS
        self._timer: threading.Timer | None = None

    def come(self) -> None:
        with self._lock:
            if self._timer is not None:
                return
            wait = self._last + NUDGE_EVERY_SECONDS - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self._late)
                self._timer.daemon = True
                self._timer.start()
                return
            self._last = time.monotonic()
        self._nudge()

    def _late(self) -> None:
        with self._lock:
            self._timer, self._last = None, time.monotonic()
        self._nudge()

    def leave(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()


def _server(settings: Webhook, secret: Callable[[], str], nudge: Callable[[], object]) -> Listener:
    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS
        server_version, sys_version = "sagespec", ""

        def do_POST(self) -> None:
            self._answer(*self._heard())

        def do_GET(self) -> None:
            self._answer(405, "a forge's webhook is POSTed here\n")

        def _heard(self) -> tuple[int, str]:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                return 411, "say how long it is\n"
            if int(length) > LONGEST_BODY_BYTES:
                return 413, "more than 1 MiB is not read\n"
            body = self.rfile.read(int(length))
            try:
                known = secret()
            except (SagespecError, OSError):
                return 503, "the secret cannot be read here\n"
            if not is_signed({name.lower(): value for name, value in self.headers.items()}, body, known):
                return 401, "it is not signed with the secret of this webhook\n"
            nudge()
            return 202, "the repository is looked at\n"

        def _answer(self, status: int, text: str) -> None:
            self.close_connection = True  # of what was not read, nothing is taken for another request
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    try:
        return Listener((settings.host, settings.port), Handler)
    except OSError as error:
        if is_taken(settings.host, settings.port):
            fix = "stop it, or set another webhook.port in the source"
            raise port_taken(settings.host, settings.port, fix=fix) from error
        raise WorldError(f"cannot listen on {settings.host}:{settings.port}: {error}") from error
