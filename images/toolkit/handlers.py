"""The server of a framework: the handlers of the user's script, or the framework's own, over a loaded model.

A script may define model_fn, and either transform_fn or any of input_fn, predict_fn and output_fn; what it leaves
out comes from the image's `<framework>_handlers` module, then from here. Facts: sagemaker-inference 1.10
(transformer.py). The server is that of the algorithms (`serving`); the framework and the script are imported
in its workers alone, one request at a time in each.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import flask

from toolkit.codecs import TEXTS, CodecError, decode, encode
from toolkit.errors import ClientError
from toolkit.media import JSON, media_type
from toolkit.packages import IMAGES, install, require_modules
from toolkit.serving import (
    Answer,
    Refusal,
    application,
    default_accept,
    model_folder,
    payload_bytes,
    read_body,
    serve,
    text_answer,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

DEFAULT_PROGRAM = "inference.py"
HANDLERS = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")


@dataclass
class Context:
    """The last argument of a handler that takes one more: the request without its body, as in the inference toolkit."""

    system_properties: Mapping[str, Any]
    headers: Mapping[str, str]

    def get_request_header(self, _index: int, name: str) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    def get_all_request_header(self, _index: int) -> Mapping[str, str]:
        return self.headers


class Handlers:
    """Which function does which step. `script` is None if the model has no code of its own."""

    def __init__(self, script: ModuleType | None, framework: ModuleType | None) -> None:
        own: dict[str, Callable[..., Any] | None] = {name: getattr(script, name, None) for name in HANDLERS}
        if own["transform_fn"] and (own["input_fn"] or own["predict_fn"] or own["output_fn"]):
            raise ValueError("transform_fn cannot be used with input_fn, predict_fn or output_fn")
        self._transform_fn = own["transform_fn"]
        self._model_fn = own["model_fn"] or getattr(framework, "model_fn", None)
        self._input_fn: Callable[..., Any] = own["input_fn"] or getattr(framework, "input_fn", None) or decode
        self._predict_fn = own["predict_fn"] or getattr(framework, "predict_fn", None)
        self._output_fn: Callable[..., Any] = own["output_fn"] or getattr(framework, "output_fn", None) or encode

    def load(self, folder: Path) -> Any:
        if self._model_fn is None:
            raise NotImplementedError("the script needs a model_fn(model_dir) that returns the model")
        return _call(self._model_fn, str(folder), context=Context({"model_dir": str(folder)}, {}))

    def transform(self, model: Any, data: str | bytes, content_type: str, accept: str, context: Context) -> Any:
        """The body of the answer, or the body and its type."""
        if self._transform_fn:
            return _call(self._transform_fn, model, data, content_type, accept, context=context)
        if self._predict_fn is None:
            raise NotImplementedError("the script needs a predict_fn(data, model) that returns the prediction")
        decoded = _call(self._input_fn, data, content_type, context=context)
        prediction = _call(self._predict_fn, decoded, model, context=context)
        return _call(self._output_fn, prediction, accept, context=context)


def _call(function: Callable[..., Any], *arguments: Any, context: Context) -> Any:
    """Call a handler, with the context if it takes one argument more."""
    takes = len(inspect.signature(function).parameters)
    return function(*arguments, context) if takes == len(arguments) + 1 else function(*arguments)


class Transformations:
    """POST /invocations: a WSGI environment to an Answer, statuses as the inference toolkit gives them."""

    def __init__(self, handlers: Handlers, model: Any, folder: Path) -> None:
        self._handlers = handlers
        self._model = model
        self._folder = folder

    def __call__(self, environ: WSGIEnvironment) -> Answer:
        try:
            return self._transform(environ, read_body(environ, payload_bytes()))
        except Refusal as refusal:
            return text_answer(refusal.status, str(refusal))
        except Exception as error:
            traceback.print_exc()
            status = getattr(error, "status_code", 500)  # which our codecs and the inference toolkit give their errors
            return text_answer(status if isinstance(status, int) else 500, f"{type(error).__name__}: {error}")

    def _transform(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        content_type = environ.get("CONTENT_TYPE") or JSON
        accept = environ.get("HTTP_ACCEPT", "")
        if accept in ("", "*/*"):
            accept = default_accept() or JSON
        data: str | bytes = body
        if media_type(content_type).name in TEXTS:
            try:
                data = body.decode()
            except UnicodeDecodeError as error:
                raise CodecError(415, f"the body is not {content_type} as expected: {error}") from error
        context = Context({"model_dir": str(self._folder)}, _headers(environ))
        result = self._handlers.transform(self._model, data, content_type, accept, context)
        return _answer(result, accept)


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    named = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    return {name.replace("_", "-").title(): value for name, value in named.items()}


def _answer(result: Any, accept: str) -> Answer:
    if isinstance(result, flask.Response):
        return Answer(result.status_code, [*result.headers.items()], result.get_data())
    content, content_type = result if isinstance(result, tuple) else (result, accept)
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes | bytearray):
        content, content_type = encode(content, content_type)
    return Answer(200, [("content-type", content_type)], bytes(content))


# -- the script and its framework ------------------------------------------------------------------


def has_script() -> bool:
    """Whether the model brings a script; for an image that is also an algorithm."""
    return "SAGEMAKER_PROGRAM" in os.environ or (code_folder() / DEFAULT_PROGRAM).is_file()


def code_folder() -> Path:
    return Path(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or model_folder() / "code")


def find_script(code: Path) -> Path | None:
    """The script with the handlers: SAGEMAKER_PROGRAM, or inference.py.

    A job's program is its training script. If that names no handler it is not meant to be imported, and inference.py
    beside it is used; if there is neither, the framework's own handlers are.
    """
    named = os.environ.get("SAGEMAKER_PROGRAM", "")
    program, default = code / (named or DEFAULT_PROGRAM), code / DEFAULT_PROGRAM
    if named.endswith(".py") and not program.is_file():
        there = ", ".join(sorted(path.name for path in code.glob("*"))) or "nothing"
        raise FileNotFoundError(f"entry_point: there is no {named} in the model's code/, which holds {there}")
    if program.suffix == ".py" and program.is_file() and _names_handlers(program):
        return program
    return default if default.is_file() else None


def _names_handlers(program: Path) -> bool:
    return re.search(rf"\b({'|'.join(HANDLERS)})\b", program.read_text(encoding="utf-8")) is not None


def import_script(program: Path | None, code: Path) -> ModuleType | None:
    if program is None:
        return None
    sys.path[:0] = [str(program.parent), str(code)]
    return importlib.import_module(program.stem)


def load_app(framework: str) -> flask.Flask:
    """The application; a script or a model that fails to load makes every answer a 500 that says why."""
    folder, code = model_folder(), code_folder()
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != IMAGES.resolve()]  # names like modules'
    try:
        script = import_script(find_script(code), code)
        handlers = Handlers(script, importlib.import_module(f"{framework}_handlers"))
        model = handlers.load(folder)
    except Exception as error:
        traceback.print_exc()
        message = f"the model could not be loaded: {type(error).__name__}: {error}"
        return application(ping=lambda: text_answer(500, message), invoke=lambda _environ: text_answer(500, message))
    return application(ping=lambda: Answer(200, [], b""), invoke=Transformations(handlers, model, folder))


def main(framework: str) -> NoReturn:
    """Serve the model in /opt/ml/model until SIGTERM, then exit 0; `framework` names the image's folder."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        require_modules(framework)
        modules = install(code_folder(), model_folder().parent / "packages")
    except ClientError as error:
        sys.exit(f"ClientError: {error}")
    if modules:
        sys.path.insert(0, str(modules))
    serve(partial(load_app, framework))
