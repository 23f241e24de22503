"""The server of a built-in algorithm: GET /ping and POST /invocations over a loaded model.

`main` is called by `serve` with the name of a Model class ("module:Class"). Flask owns every
route; in front of its routing stands one WSGI function that answers POST /invocations, because
routing costs more than most predictions. granian runs it in one-thread worker processes, starts
a worker again when it dies and finishes the requests in flight on SIGTERM. This module must not
import what training needs: most of a server's start is imports.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read once, when numpy is imported
    os.environ.setdefault(threads, "1")

import flask  # noqa: E402
import numpy as np  # noqa: E402

from toolkit.formats import WrongWidth  # noqa: E402
from toolkit.media import choose, media_type  # noqa: E402
from toolkit.model import Model, Request, load_model  # noqa: E402

DEFAULT_PORT = 8080
DEFAULT_PAYLOAD_MIB = 25
STOP_SECONDS = 28  # the platform sends SIGKILL 30 s after SIGTERM
STATUS_LINES = {int(status): f"{status.value} {status.phrase}" for status in HTTPStatus}


class Refusal(Exception):
    """An answer other than a prediction."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def read_body(environ: WSGIEnvironment, limit_bytes: int) -> bytes:
    """The request's body; Refusal 413 if it is longer than `limit_bytes`."""
    # One byte more than allowed shows that a body is too long even if its length was not announced.
    stream = environ["wsgi.input"]
    body: bytes = stream.read(limit_bytes + 1)
    if len(body) <= limit_bytes:
        return body
    # Keep reading for a while: a client that is cut off while sending never sees the answer.
    for _ in range(16):
        if not stream.read(limit_bytes):
            break
    raise Refusal(413, f"the body is larger than {limit_bytes} bytes (SAGEMAKER_MAX_PAYLOAD_IN_MB)")


class Invocations:
    """POST /invocations: a WSGI environment to an Answer, statuses as in the hosted containers."""

    def __init__(self, model: Model, *, default_accept: str, payload_bytes: int) -> None:
        self.model = model
        self.default_accept = default_accept
        self.payload_bytes = payload_bytes

    def __call__(self, environ: WSGIEnvironment) -> Answer:
        try:
            body = read_body(environ, self.payload_bytes)
            if not body:
                return Answer(204, [], b"")
            return self._predict(environ, body)
        except Refusal as refusal:
            return text_answer(refusal.status, str(refusal))

    def _predict(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        model = self.model
        content_type = media_type(environ.get("CONTENT_TYPE") or model.reads[0]).name
        if content_type not in model.reads:
            raise Refusal(415, f"content type {content_type} is not among {', '.join(model.reads)}")
        accept = content_type if model.answers_in_kind else environ.get("HTTP_ACCEPT", "")
        media = choose(self.default_accept if accept in ("", "*/*") else accept, model.writes)
        if media is None:
            raise Refusal(406, f"Accept {accept} is not among {', '.join(model.writes)}")
        rows = self._rows(content_type, body)
        request = Request(media, environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", ""))
        try:
            answer = model.encode(model.predict(rows, request), media)
        except Exception as error:
            traceback.print_exc()
            raise Refusal(400, f"the model could not predict: {type(error).__name__}: {error}") from error
        headers = [("content-type", media.name)]
        if request.answer_attributes:
            headers.append(("x-amzn-sagemaker-custom-attributes", request.answer_attributes))
        return Answer(200, headers, answer)

    def _rows(self, content_type: str, body: bytes) -> Any:
        model = self.model
        try:
            rows = model.decode(body, content_type)
        except WrongWidth as error:
            raise Refusal(400, str(error)) from error
        except Exception as error:  # whatever it is, it is the body's fault
            raise Refusal(415, f"the body is not {content_type} as expected: {error}") from error
        if not isinstance(rows, np.ndarray):
            return rows
        if rows.ndim != 2 or not rows.size:
            raise Refusal(415, f"the body has no rows of features for {content_type}")
        if rows.shape[1] != model.feature_count:
            raise Refusal(400, str(WrongWidth(model.feature_count, rows.shape[1])))
        if not model.allow_missing and np.isnan(rows).any():
            row, column = np.argwhere(np.isnan(rows))[0] + 1
            raise Refusal(400, f"row {row}: feature {column} is missing")
        return rows


def create_app(
    load: Callable[[], Model], *, default_accept: str = "", payload_bytes: int = DEFAULT_PAYLOAD_MIB * 2**20
) -> flask.Flask:
    """The application; a model that fails to load makes every answer a 500 that says why."""
    try:
        model = load()
    except Exception as error:
        traceback.print_exc()
        message = f"the model could not be loaded: {type(error).__name__}: {error}"
        return application(ping=lambda: text_answer(500, message), invoke=lambda _environ: text_answer(500, message))
    invoke = Invocations(model, default_accept=default_accept or model.writes[0], payload_bytes=payload_bytes)
    return application(ping=lambda: Answer(200, [], b""), invoke=invoke)


def application(*, ping: Callable[[], Answer], invoke: Callable[[WSGIEnvironment], Answer]) -> flask.Flask:
    app = flask.Flask("toolkit", static_folder=None)

    def to_flask(answer: Answer) -> flask.Response:
        return flask.Response(answer.body, answer.status, answer.headers)

    app.add_url_rule("/ping", "ping", lambda: to_flask(ping()))
    app.add_url_rule("/invocations", "invocations", lambda: to_flask(invoke(flask.request.environ)), methods=["POST"])
    app.wsgi_app = _in_front(invoke, app.wsgi_app)  # type: ignore[method-assign,assignment]
    return app


def _in_front(invoke: Callable[[WSGIEnvironment], Answer], behind: WSGIApplication) -> WSGIApplication:
    """The short cut past Flask's routing; without it the same route gives the same answers."""

    def front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/invocations" or environ["REQUEST_METHOD"] != "POST":
            return behind(environ, start_response)
        answer = invoke(environ)
        start_response(STATUS_LINES.get(answer.status, f"{answer.status} Unknown"), answer.headers)
        return [answer.body]

    return front


def text_answer(status: int, message: str) -> Answer:
    return Answer(status, [("content-type", "text/plain; charset=utf-8")], message.encode() + b"\n")


def main(target: str) -> NoReturn:
    """Serve the Model class `target` ("module:Class") until SIGTERM, then exit 0.

    The module is imported here once and shared with the forked workers; each loads the model
    itself, since threads and handles of native libraries do not survive a fork.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    importlib.import_module(target.partition(":")[0])
    serve(partial(_load_app, target))


def serve(load_app: Callable[[], flask.Flask]) -> NoReturn:
    """Serve what `load_app` gives, called in each worker, until SIGTERM; then exit 0."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    host = os.environ.get("SAGEMAKER_BIND_TO_HOST") or "0.0.0.0"  # noqa: S104 (the gateway is another container)
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or DEFAULT_PORT)
    _require_free(host, port)
    os.environ.setdefault("SAGEMAKER_MODEL_SERVER_WORKERS", str(_worker_count()))  # by which they share the memory
    server = Granian(
        "app",  # a name for its log; the loader below knows what to load
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=_worker_count(),
        blocking_threads=1,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.warning,
    )
    print(f"serving on {host}:{port}", flush=True)
    try:
        server.serve(target_loader=partial(_load_worker, os.getpid(), load_app))
    except SystemExit:
        # Workers that got the signal too look like crashed ones to granian.
        if not server.interrupt_signal:
            raise
    sys.exit(0)


def _load_worker(server_pid: int, load_app: Callable[[], flask.Flask], _name: str) -> WSGIApplication:
    """A worker's application; runs in the worker."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until granian's own handler, a stop ends it at once
    _die_with_parent(server_pid)
    return load_app().wsgi_app


def _load_app(target: str) -> flask.Flask:
    module_name, _, class_name = target.partition(":")
    model_class: type[Model] = getattr(importlib.import_module(module_name), class_name)
    return create_app(
        lambda: load_model(model_class, model_folder()), default_accept=default_accept(), payload_bytes=payload_bytes()
    )


def model_folder() -> Path:
    """Where the platform has unpacked the model archive."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model"


def default_accept() -> str:
    """The answer's type when the client names none; empty: the model's own choice."""
    return os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "")


def payload_bytes() -> int:
    """The longest body that is read."""
    return int(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or DEFAULT_PAYLOAD_MIB) * 2**20


def _worker_count() -> int:
    return int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)


def _require_free(host: str, port: int) -> None:
    """Exit if the port is taken: granian shares ports, and would split the traffic with the other server."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"cannot serve on {host}:{port}: {error.strerror}")


def _die_with_parent(parent_pid: int) -> None:
    """Have Linux stop this worker when the server is killed; an orphan would keep the port and answer on."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os._exit(0)
