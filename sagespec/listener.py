"""An HTTP server for a few requests at once, which nobody can keep busy for long. On a thread, beside other work."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

SECONDS = 5.0  # for a request to come, and its answer to be taken
MOST_AT_ONCE = 8


class Listener(ThreadingHTTPServer):
    """A few at once: who keeps a connection open and says nothing is in nobody's way for long."""

    daemon_threads = True
    request_queue_size = 64  # that wait to be taken

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(timeout=SECONDS):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            with suppress(OSError):  # a client that leaves before its answer
                self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)
            self._free.release()


@contextmanager
def listening(server: Listener, name: str) -> Iterator[None]:
    """Answer while the block runs."""
    thread = Thread(target=server.serve_forever, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
