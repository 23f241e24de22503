"""The server of a built-in algorithm: GET /ping and POST /invocations over a loaded model.

`main` is called by `serve` with the name of a Model class ("module:Class"). The server is one front, which speaks HTTP
and answers /ping, and workers, each with the model and one request at a time; `workers` starts them all. This module
must not import what training needs: most of a server's start is imports.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from toolkit.acceleration import Acceleration
    from toolkit.columns import Columns
    from toolkit.workers import Invoke

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read once, when numpy is imported
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

from toolkit.bodies import explained, type_of  # noqa: E402
from toolkit.errors import without_stack  # noqa: E402
from toolkit.finite import first_unfit, why_unfit  # noqa: E402
from toolkit.formats import Prediction, WrongWidth  # noqa: E402
from toolkit.media import JSON, JSON_LINES, RECORDIO, MediaType, choose  # noqa: E402
from toolkit.model import Model, Request, load_model  # noqa: E402
from toolkit.rows import FloatArray  # noqa: E402

DEFAULT_PORT = 8080
DEFAULT_PAYLOAD_MIB = 25
DEFAULT_ANSWER_SECONDS = 60  # what a request may take on SageMaker


class Refusal(Exception):
    """An answer other than a prediction."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Answer(NamedTuple):
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
        reads = named_requests().READS if model.columns else model.reads
        body_type = type_of(environ.get("CONTENT_TYPE", ""), body, reads)
        content_type = body_type.name
        if content_type not in reads:
            raise Refusal(415, f"content type {content_type} is not among {', '.join(reads)}")
        accept = content_type if model.answers_in_kind else environ.get("HTTP_ACCEPT", "")
        media = choose(self.default_accept if accept in ("", "*/*") else accept, model.writes)
        if media is None:
            raise Refusal(406, f"Accept {accept} is not among {', '.join(model.writes)}")
        rows = self._read(body, body_type, reads)
        request = Request(media, environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", ""))
        try:
            answer = model.encode(self._with_class_names(model.predict(rows, request), media), media)
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {without_stack(str(error))}"
            raise Refusal(400, f"the model could not predict: {reason}") from error
        headers = [("content-type", media.name)]
        if request.answer_attributes:
            headers.append(("x-amzn-sagemaker-custom-attributes", request.answer_attributes))
        return Answer(200, headers, answer)

    def _read(self, body: bytes, body_type: MediaType, reads: Sequence[str]) -> Any:
        columns, name = self.model.columns, body_type.name
        try:
            return self._named_rows(body_type, body, columns) if columns else self._rows(name, body)
        except Refusal as refusal:
            width = len(columns.features) if columns else getattr(self.model, "feature_count", None)
            message = explained(str(refusal), body, name, reads=reads, width=width)
            raise Refusal(refusal.status, message) from refusal

    def _named_rows(self, body_type: MediaType, body: bytes, columns: Columns) -> Any:
        named = named_requests()
        try:
            return named.rows_of(body, body_type, columns)
        except named.BadRequest as error:
            raise Refusal(400, str(error)) from error
        except Exception as error:  # whatever it is, it is the body's fault
            raise Refusal(415, f"the body is not {body_type.name} as expected: {error}") from error

    def _with_class_names(self, prediction: Prediction, media: MediaType) -> Prediction:
        """The same, with the names of classes where it has their numbers; RecordIO holds numbers only.

        In JSON a list with a number for each class comes with their names as `labels`.
        """
        classes = self.model.columns.classes if self.model.columns else ()
        if not classes or media.name == RECORDIO:
            return prediction
        are_classes = self.model.class_columns
        named = {
            name: self.model.named(values) if name in are_classes else values for name, values in prediction.items()
        }
        numbers = prediction.get(self.model.class_lists)
        if media.name in (JSON, JSON_LINES) and numbers is not None and numbers.shape[1:] == (len(classes),):
            named.setdefault("labels", np.broadcast_to(np.array(classes, object), numbers.shape))
        return named

    def _rows(self, content_type: str, body: bytes) -> Any:
        model = self.model
        try:
            rows = model.decode(body, content_type)
        except WrongWidth as error:
            raise Refusal(400, str(error)) from error
        except Exception as error:  # whatever it is, it is the body's fault
            raise Refusal(415, f"the body is not {content_type} as expected: {error}") from error
        if not isinstance(rows, np.ndarray):
            if hasattr(rows, "nnz"):  # a sparse array of scipy
                _refuse_unfit(rows.data, 0, allow_missing=model.allow_missing)
            return rows
        if rows.ndim != 2 or not rows.size:
            raise Refusal(415, f"the body has no rows of features for {content_type}")
        if rows.shape[1] != model.feature_count:
            raise Refusal(400, str(WrongWidth(model.feature_count, rows.shape[1])))
        _refuse_unfit(rows, rows.shape[1], allow_missing=model.allow_missing)
        return rows


def _refuse_unfit(values: FloatArray, width: int, *, allow_missing: bool) -> None:
    """400 for the first number that nothing can be predicted from. width: of the rows, 0 for entries of sparse ones."""
    entry = first_unfit(values, allow_missing=allow_missing)
    if entry is None:
        return
    why = "is missing" if np.isnan(values.flat[entry]) else why_unfit(float(values.flat[entry]))
    place = f"row {entry // width + 1}: feature {entry % width + 1}" if width else "a value"
    raise Refusal(400, f"{place} {why}")


def named_requests() -> Any:
    """The module, which only servers of models with named columns import."""
    from toolkit import named_requests

    return named_requests


def text_answer(status: int, message: str) -> Answer:
    return Answer(status, [("content-type", "text/plain; charset=utf-8")], message.encode() + b"\n")


def main(target: str) -> NoReturn:
    """Serve the Model class `target` ("module:Class") until SIGTERM, then exit 0.

    The module is imported here once and shared with the forked workers; each loads the model
    itself, since threads and handles of native libraries do not survive a fork.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    importlib.import_module(target.partition(":")[0])
    accelerated = None
    if os.environ.get("SAGESPEC_ACCELERATE"):
        from toolkit import acceleration

        accelerated = acceleration.prepare(model_folder().parent, partial(_convert, target))
    serve(partial(_load, target, accelerated))


def _model(target: str) -> Model:
    module_name, _, class_name = target.partition(":")
    return load_model(getattr(importlib.import_module(module_name), class_name), model_folder())


def _convert(target: str, folder: Path) -> None:
    from toolkit.onnx_convert import converted

    converted(_model(target).subject()).write(folder)


def _load(target: str, accelerated: Acceleration | None = None) -> Invoke:
    model = _model(target)
    model.form = accelerated.form() if accelerated else None
    accept = default_accept() or model.writes[0]
    return Invocations(model, default_accept=accept, payload_bytes=payload_bytes())


def serve(load: Callable[[], Invoke]) -> NoReturn:
    """Serve what `load` gives, called in each worker, until SIGTERM; then exit 0. Exit 1 if it cannot be loaded."""
    from toolkit.workers import Supervisor

    host = os.environ.get("SAGEMAKER_BIND_TO_HOST") or "0.0.0.0"  # noqa: S104 (the gateway is another container)
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or DEFAULT_PORT)
    _require_free(host, port)
    worker_count = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)
    os.environ["SAGEMAKER_MODEL_SERVER_WORKERS"] = str(worker_count)  # by so many the memory is shared
    supervisor = Supervisor(
        load,
        address=(host, port),
        count=worker_count,
        payload_bytes=payload_bytes(),
        answer_seconds=float(os.environ.get("SAGEMAKER_MODEL_SERVER_TIMEOUT") or DEFAULT_ANSWER_SECONDS),
    )
    sys.exit(supervisor.run())


def model_folder() -> Path:
    """Where the platform has unpacked the model archive."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model"


def default_accept() -> str:
    """The answer's type when the client names none; empty: the model's own choice."""
    return os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "")


def payload_bytes() -> int:
    """The longest body that is read."""
    return int(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or DEFAULT_PAYLOAD_MIB) * 2**20


def _require_free(host: str, port: int) -> None:
    """Exit if the port is taken, before a model is loaded in vain."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"cannot serve on {host}:{port}: {error.strerror}")
