"""The control plane as a WSGI app: who may ask at all, where a request leads, and what becomes of our own mistakes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sagespec.api.call import Answer, Call, StartResponse
from sagespec.api.dispatch import READ_ONLY, Dispatch, is_runtime, service_of
from sagespec.api.errors import ApiError
from sagespec.api.protocols import json, s3
from sagespec.api.protocols.protocol import protocol_of
from sagespec.api.signature import signature_of
from sagespec.errors import SagespecError, SpecError
from sagespec.web.guard import refusal
from sagespec.web.server import App

Respond = Callable[[StartResponse], Iterable[bytes]]
_S3_READS = ("GET", "HEAD")


@dataclass(frozen=True)
class ControlPlane:
    """names: what Host may say. s3: answers what is signed for it. runtime: answers predictions. tell: one line for the
    person at the terminal."""

    dispatch: Dispatch
    names: Collection[str]
    s3: App
    runtime: Callable[[Call], Answer]
    tell: Callable[[str], None]

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        return self.respond(Call(environ))(start)

    def respond(self, call: Call) -> Respond:
        if refused := refusal(call.headers, self.names):
            return Answer(refused.status, refused.text.encode()).send
        write_error: Callable[[ApiError, Call], Answer] = json.error
        try:
            signature = signature_of(call)
            if is_runtime(call, signature):
                return self.runtime(call).send
            service = service_of(call, signature)
            write_error = s3.error if service == "s3" else protocol_of(call, service).error
            self.dispatch.check_signature(call, signature, service)
            if service == "s3":
                return self._s3(call)
            return self.dispatch.answer(call, service).send
        except Exception as raised:
            return write_error(self._problem(raised, call), call).send

    def _s3(self, call: Call) -> Respond:
        if self.dispatch.service.read_only and call.method not in _S3_READS:
            raise ApiError("AccessDenied", READ_ONLY, 403)
        return lambda start: self.s3(call.environ, start)

    def _problem(self, raised: Exception, call: Call) -> ApiError:
        """What to say of it: whose fault it is, and whether to try again."""
        if isinstance(raised, ApiError):
            return raised
        if isinstance(raised, ConnectionError | TimeoutError):  # the client has gone, or stopped sending
            return ApiError("RequestTimeoutException", "the request ends before its end")
        if isinstance(raised, SpecError):
            return ApiError("ValidationException", str(raised))
        if isinstance(raised, SagespecError | OSError):  # the engine or the store is away, or the disk is full
            self.tell(f"{_name(call)}: {raised}")
            return ApiError("ServiceUnavailable", str(raised), 503)
        self.tell(f"{_name(call)} failed: {raised!r} at {_place(raised)}; please report this")
        # A client tries again, three to five times, and then raises this.
        return ApiError("InternalFailure", "sagespec has failed; its output says where", 500)


def _name(call: Call) -> str:
    """What was asked for, in a log line."""
    asked = call.headers.get("x-amz-target") or f"{call.method} {call.path}"
    return "".join(letter if letter.isprintable() else "?" for letter in asked[:200])


def _place(bug: BaseException) -> str:
    """The file and line where it happened."""
    frames = traceback.extract_tb(bug.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
