"""Predictions that were sent here instead of to the gateway, for clients that know a single address: passed on as they
come. `sagespec env` gives the gateway's own address, so that predictions need not come this way."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError
from sagespec.api.service import Service
from sagespec.contract import LARGEST_BODY_BYTES
from sagespec.errors import WorldError
from sagespec.gateway.ports import published_port
from sagespec.project import Project
from sagespec.verbs.invoke import INVOKE_TIMEOUT_SECONDS
from sagespec.verbs.way import way_to

_BLOCK_BYTES = 2**16
# Of one connection, not of a message; and what only we look at.
_NOT_PASSED_ON = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "authorization", "x-api-key", "content-length", "expect", "date", "server",
}  # fmt: skip


def gateway_url(project: Project) -> str | None:
    """Where the project's gateway listens; None while there is none, and nobody has said where it is to be: on the
    usual port there may be another program."""
    settings, runtime = project.parts.settings.gateway, project.parts.runtime
    if settings.sets_port:
        return settings.url
    containers = runtime.containers()
    is_there = published_port(runtime, containers) is not None
    return project.parts.gateway.find(containers).url if is_there else None


class Runtime:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._url: str | None = None  # where it was last

    def answer(self, call: Call) -> Answer:
        """What the gateway answers. ApiError when it cannot be asked."""
        if self._url:
            try:
                return self._pass_on(call, self._url)
            except ConnectionRefusedError:  # nothing was sent yet; it may listen elsewhere by now
                self._url = None
        self._url = gateway_url(self._service.project)
        try:
            if self._url:
                return self._pass_on(call, self._url)
        except ConnectionRefusedError:
            self._url = None
        raise self._away(call)

    def _pass_on(self, call: Call, url: str) -> Answer:
        try:
            way = way_to(self._service.project.parts, _endpoint_of(call), url=url)
        except WorldError as error:
            raise ApiError("AccessDeniedException", str(error), 403) from None
        connection = way.connection(INVOKE_TIMEOUT_SECONDS)
        try:
            connection.connect()
            headers = {name: value for name, value in call.headers.items() if name not in _NOT_PASSED_ON} | way.headers
            connection.request(call.method, call.target, *_body(call, headers))
            response = connection.getresponse()
        except ConnectionRefusedError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiError("ServiceUnavailable", f"the gateway did not answer: {error}", 503) from error
        passed_on = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_PASSED_ON}
        if (length := response.headers.get("Content-Length")) is not None:
            passed_on["Content-Length"] = length
        return Answer(response.status, _Body(connection, response), headers=passed_on)

    def _away(self, call: Call) -> ApiError:
        name = _endpoint_of(call)
        endpoints = {endpoint.address.name for endpoint in self._service.snapshots.status().endpoints}
        if name in endpoints:
            return ApiError("ServiceUnavailable", "the gateway does not listen yet", 503)
        return ApiError("ValidationError", f"Endpoint {name[:63]} of account {self._service.account} not found.")


def _endpoint_of(call: Call) -> str:
    return unquote(call.path.removeprefix("/endpoints/").partition("/")[0])


def _body(call: Call, headers: dict[str, str]) -> tuple[Any, dict[str, str]]:
    length = call.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
        raise ApiError("ValidationError", f"a body may have {LARGEST_BODY_BYTES} bytes", 413)
    if "chunked" in call.headers.get("transfer-encoding", "").lower():
        return _blocks(call), headers
    return call.environ["wsgi.input"] if int(length) else b"", headers | {"Content-Length": length}


def _blocks(call: Call) -> Iterator[bytes]:
    while block := call.environ["wsgi.input"].read(_BLOCK_BYTES):
        yield block


class _Body:
    """Of the gateway's answer, as it comes."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection, self._response = connection, response

    def __iter__(self) -> Iterator[bytes]:
        while block := self._response.read1(_BLOCK_BYTES):
            yield block

    def close(self) -> None:
        self._connection.close()
