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
import site
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from toolkit import acceleration, mlflow_model
from toolkit.acceleration import Acceleration
from toolkit.bodies import says_nothing, type_of
from toolkit.codecs import DECODERS, TEXTS, CodecError, decode, encode
from toolkit.context import OF_THE_SERVER, Context, RequestProcessor, headers_of
from toolkit.errors import ClientError, without_stack
from toolkit.media import JSON, media_type
from toolkit.onnx_form import Accelerated, Form, NoForm
from toolkit.packages import IMAGES, hosted_packages, install, require_modules
from toolkit.serving import (
    Answer,
    Refusal,
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
HANDLERS = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn", "pre_model_fn", "model_warmup_fn")


class Handlers:
    """Which function does which step. `script` is None if the model has no code of its own."""

    def __init__(self, script: ModuleType | None, framework: ModuleType | None) -> None:
        own: dict[str, Callable[..., Any] | None] = {name: getattr(script, name, None) for name in HANDLERS}
        if own["transform_fn"] and (own["input_fn"] or own["predict_fn"] or own["output_fn"]):
            raise ValueError("transform_fn cannot be used with input_fn, predict_fn or output_fn")
        self._transform_fn = _step(own["transform_fn"])
        self._pre_model_fn, self._model_warmup_fn = _step(own["pre_model_fn"]), _step(own["model_warmup_fn"])
        self._model_fn = _step(own["model_fn"] or getattr(framework, "model_fn", None))
        self._input_fn = _Step(own["input_fn"] or getattr(framework, "input_fn", None) or decode)
        self._predict_fn = _step(own["predict_fn"] or _blaming_the_rows(getattr(framework, "predict_fn", None)))
        self._output_fn = _Step(own["output_fn"] or getattr(framework, "output_fn", None) or encode)
        self.loads_itself, self.decodes_itself = bool(own["model_fn"]), bool(own["input_fn"])
        self.predicts_itself = bool(own["predict_fn"] or own["transform_fn"])
        self.reads_itself = bool(own["transform_fn"] or own["input_fn"])
        self.reads: tuple[str, ...] = getattr(framework, "READS", tuple(DECODERS))

    def load(self, folder: Path, form: Form | None = None) -> Any:
        """The model: between pre_model_fn and model_warmup_fn, where the script has them.

        With a form it stands for the model, which the framework's own model_fn then loads only when it is needed.
        """
        if self._model_fn is None:
            raise NotImplementedError("the script needs a model_fn(model_dir) that returns the model")
        context = Context(str(folder))
        if self._pre_model_fn:
            self._pre_model_fn(str(folder), context=context)
        load = partial(self._model_fn, str(folder), context=context)
        model = load() if form is None or self.loads_itself else Accelerated(form, load)
        if form and self.loads_itself:
            model = Accelerated(form, partial(_same, model))
        if self._model_warmup_fn:
            self._model_warmup_fn(str(folder), model, context=context)
        return model

    def transform(self, model: Any, data: str | bytes, content_type: str, accept: str, context: Context) -> Any:
        """The body of the answer, or the body and its type."""
        if self._transform_fn:
            return self._transform_fn(model, data, content_type, accept, context=context)
        if self._predict_fn is None:
            raise NotImplementedError("the script needs a predict_fn(data, model) that returns the prediction")
        decoded = self._input_fn(data, content_type, context=context)
        prediction = self._predict_fn(decoded, model, context=context)
        return self._output_fn(prediction, accept, context=context)


def _same(value: Any) -> Any:
    return value


class _Step:
    """A handler, called with the context if it takes one argument more."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes: int | None = None  # looked up once: that takes longer than many a prediction

    def __call__(self, *arguments: Any, context: Context) -> Any:
        if self._takes is None:
            self._takes = len(inspect.signature(self._function).parameters)
        if self._takes == len(arguments) + 1:
            return self._function(*arguments, context)
        return self._function(*arguments)


def _step(function: Callable[..., Any] | None) -> _Step | None:
    return _Step(function) if function else None


def _blaming_the_rows(predict_fn: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A framework's own predict_fn, whose ValueError and TypeError say that the rows do not fit the model."""
    if predict_fn is None:
        return None

    def predict(data: Any, model: Any) -> Any:
        try:
            return predict_fn(data, model)
        except (ValueError, TypeError) as error:
            reason = f"{type(error).__name__}: {without_stack(str(error))}"
            raise CodecError(400, f"the model could not predict: {reason}") from error

    return predict


class Transformations:
    """POST /invocations: a WSGI environment to an Answer, statuses as the inference toolkit gives them."""

    def __init__(self, handlers: Handlers, model: Any, folder: Path) -> None:
        self._handlers = handlers
        self._model = model
        self._folder = folder
        self._payload_bytes = payload_bytes()

    def __call__(self, environ: WSGIEnvironment) -> Answer:
        try:
            return self._transform(environ, read_body(environ, self._payload_bytes))
        except Refusal as refusal:
            return text_answer(refusal.status, str(refusal))
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            status = getattr(error, "status_code", 500)  # which our codecs and the inference toolkit give their errors
            kind = "" if isinstance(error, CodecError) else f"{type(error).__name__}: "
            message = kind + without_stack(str(error))
            return text_answer(status if isinstance(status, int) else 500, message)

    def _transform(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        content_type = self._content_type(environ.get("CONTENT_TYPE", ""), body)
        accept = environ.get("HTTP_ACCEPT", "")
        if accept in ("", "*/*"):
            accept = default_accept() or JSON
        data: str | bytes = body
        if media_type(content_type).name in TEXTS:
            try:
                data = body.decode()
            except UnicodeDecodeError as error:
                raise CodecError(415, f"the body is not {content_type} as expected: {error}") from error
        context = Context(str(self._folder), headers_of(environ))
        result = self._handlers.transform(self._model, data, content_type, accept, context)
        return _answer(result, accept, context.request_processor[0])

    def _content_type(self, stated: str, body: bytes) -> str:
        """What the request says, or for our codecs what the body looks like where that says nothing."""
        if self._handlers.reads_itself:
            return stated or JSON
        return type_of(stated, body, self._handlers.reads).name if says_nothing(stated) else stated


def _answer(result: Any, accept: str, said: RequestProcessor) -> Answer:
    flask = sys.modules.get("flask")  # of a script that has imported it; that takes longer than all else here
    if flask and isinstance(result, flask.Response):
        return Answer(result.status_code, [*result.headers.items()], result.get_data())
    content, content_type = result if isinstance(result, tuple) else (result, None)
    content_type = content_type or said.answer_headers.get("content-type") or accept
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes | bytearray):
        content, content_type = encode(content, content_type)
    more = [item for item in said.answer_headers.items() if item[0] not in ("content-type", *OF_THE_SERVER)]
    return Answer(said.status, [("content-type", content_type), *more], bytes(content))


# -- the script and its framework ------------------------------------------------------------------


def has_script() -> bool:
    """Whether the model brings a script; for an image that is also an algorithm."""
    if "SAGEMAKER_PROGRAM" in os.environ or (code_folder() / DEFAULT_PROGRAM).is_file():
        return True
    _say_what_is_not_used(code_folder())
    return False


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
    if default.is_file():
        return default
    _say_what_is_not_used(code)
    return None


def _say_what_is_not_used(code: Path) -> None:
    scripts = sorted(path.name for path in code.glob("*.py"))
    if scripts:
        print(f"code/ holds {', '.join(scripts)}, but no {DEFAULT_PROGRAM}: the default handlers answer", flush=True)
    if (model_folder() / DEFAULT_PROGRAM).is_file():
        print(f"{DEFAULT_PROGRAM} at the archive's root is not used: its place is code/", flush=True)


def _names_handlers(program: Path) -> bool:
    names = "|".join(HANDLERS).encode()
    return re.search(rb"\b(" + names + rb")\b", program.read_bytes()) is not None  # in whatever encoding it is


def import_script(program: Path | None, code: Path) -> ModuleType | None:
    if program is None:
        return None
    sys.path[:0] = [str(program.parent), str(code)]
    return importlib.import_module(program.stem)


def load(framework: str, accelerated: Acceleration | None = None) -> Transformations:
    """The script, or the framework's own handlers, with the model."""
    form = accelerated.form() if accelerated else None
    handlers = handlers_of(framework, is_accelerated=form is not None)
    return Transformations(handlers, handlers.load(model_folder(), form), model_folder())


def handlers_of(framework: str, *, is_accelerated: bool = False) -> Handlers:
    """Imports the script, and what the framework has for what that leaves out."""
    code = code_folder()
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != IMAGES.resolve()]  # names like modules'
    sys.path += hosted_packages(framework)
    script = import_script(find_script(code), code)
    return Handlers(script, importlib.import_module(f"{framework}_{'onnx' if is_accelerated else 'handlers'}"))


def accelerated_script(framework: str) -> Acceleration:
    """The form of the model that the script, or the framework, loads. That of a script's own model_fn is made at each
    start: it may load anything."""
    program = find_script(code_folder())
    text = program.read_bytes() if program else b""
    is_own = re.search(rb"\bmodel_fn\b|\bimport\s*\*", text) is not None
    return acceleration.prepare(model_folder().parent, partial(_convert, framework), is_kept=not is_own)


def _convert(framework: str, folder: Path) -> None:
    """Raises NoForm for a script that predicts itself."""
    from toolkit.onnx_convert import converted
    from toolkit.onnx_samples import with_example

    handlers = handlers_of(framework)
    accelerated = importlib.import_module(f"{framework}_onnx")
    if handlers.predicts_itself:
        raise NoForm("the script has a predict_fn or transform_fn of its own, which is left as it is")
    if handlers.decodes_itself and not accelerated.TAKES_ANY_INPUT:
        raise NoForm("the script has an input_fn of its own, whose result is not for ONNX")
    subject = accelerated.subject_of(handlers.load(model_folder()))
    example = mlflow_model.input_example(model_folder()) or b"[]"
    with suppress(CodecError):  # an example in a form that only MLflow reads
        subject = replace(subject, rows=with_example(subject.rows, decode(example, JSON)))
    converted(subject).write(folder)


def main(framework: str) -> NoReturn:
    """Serve the model in /opt/ml/model until SIGTERM, then exit 0; `framework` names the image's folder."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        require_modules(framework)
        needed = mlflow_model.needed(model_folder(), framework)
        modules = install(code_folder(), model_folder().parent / "packages", more=needed)
    except ClientError as error:
        sys.exit(f"ClientError: {error}")
    if modules:
        sys.path.insert(0, str(modules))
        site.addsitedir(str(modules))  # follows the links of editable packages
    serve(partial(load, framework, accelerated_script(framework) if acceleration.is_asked_for() else None))
