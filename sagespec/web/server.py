"""Serves a WSGI app on this machine: a thread for each request that is answered, idle connections without one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cheroot.server import HTTPConnection
from cheroot.wsgi import Gateway_10
from cheroot.wsgi import Server as WsgiServer

from sagespec.errors import WorldError
from sagespec.ports import is_taken, port_taken
from sagespec.web.requests import Request

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

THREADS = 64
MOST_HEADER_BYTES = 64 * 2**10
IDLE_SECONDS = 75  # of a kept connection; clients that keep one longer open another
END_SECONDS = 2  # for requests that are being answered when the server ends


class Server:
    """app: what answers. host: an address of this machine. ports: the first of them that is free.

    WorldError when all of them are taken.
    """

    def __init__(self, app: App, host: str, ports: Sequence[int], *, threads: int = THREADS) -> None:
        free = (port for port in ports if not is_taken(host, port))
        bound = ((port, server) for port in free if (server := _bound(app, host, port, threads=threads)))
        found = next(bound, None)
        if found is None:
            raise port_taken(host, ports[0], fix="stop it, or choose another port with --port")
        self.host = host
        self.port, self._server = found
        self._thread = threading.Thread(target=self._server.serve, name=f"web-{self.port}", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(END_SECONDS + 1)


def _bound(app: App, host: str, port: int, *, threads: int) -> WsgiServer | None:
    """None when another program was quicker to take the port."""
    server = _Listener(
        (host, port), app, numthreads=threads, request_queue_size=128, timeout=IDLE_SECONDS,
        shutdown_timeout=END_SECONDS, server_name="sagespec",
    )  # fmt: skip
    server.gateway = _Gateway
    server.ConnectionClass = _Connection
    server.max_request_header_size = MOST_HEADER_BYTES
    try:
        server.prepare()
    except OSError as error:
        if server.socket:  # two may bind a port at once, but only one of them may listen there
            server.socket.close()
        if is_taken(host, port):
            return None
        raise WorldError(f"cannot listen on {host}:{port}: {error}") from error
    return server


class _Listener(WsgiServer):
    """Leaves no socket open where it could not listen."""

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        try:
            return WsgiServer.bind_socket(socket_, bind_addr)  # type: ignore[no-any-return, no-untyped-call]
        except OSError:
            socket_.close()
            raise


class _Connection(HTTPConnection):
    RequestHandlerClass = Request


class _Gateway(Gateway_10):
    """Tells of the headers as they were sent, too: in a variable's name, `-` and `_` are one, but a signature and the
    names of S3's metadata keep them apart.

    Those with `_` become no variables: a proxy that takes `X-User` from what strangers send may let `X_User` pass.
    """

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # typed by cheroot as if it gave nothing
        sent = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.req.inheaders.items()}
        self.req.inheaders = {name: value for name, value in self.req.inheaders.items() if b"_" not in name}
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        return {**environ, "sagespec.headers": sent}
