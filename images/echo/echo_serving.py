"""Serving of the test image: echoes requests, and misbehaves on request.

POST /invocations answers the request's headers and body, the environment and the model's files
as JSON. X-Amzn-SageMaker-Custom-Attributes may hold `status=500;delay=2;size=1000;crash=3`: the
status to answer with, seconds to wait first, bytes of padding, an exit code to die with instead.
The environment says how the server fares, in seconds after its start:
ECHO_START_DELAY (the port opens), ECHO_UNHEALTHY_AFTER (/ping turns 500), ECHO_CRASH (exit 1). ECHO_FAILS is the
share of requests that are answered with 500, ECHO_DELAY how many seconds each of them takes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class InFlight:
    """Counts the requests being answered, so that a stop can wait for them."""

    def __init__(self) -> None:
        self.count = 0
        self.changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, difference: int) -> None:
        with self.changed:
            self.count += difference
            self.changed.notify_all()

    def wait_for_none(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.count == 0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True
    in_flight: ClassVar[InFlight] = InFlight()
    started_at: ClassVar[float] = time.monotonic()
    model_files: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        with self.in_flight.one():
            if self.path != "/ping":
                self.answer(404, {"message": f"no such path: {self.path}"})
                return
            unhealthy_after = float(os.environ.get("ECHO_UNHEALTHY_AFTER", "inf"))
            is_healthy = time.monotonic() - self.started_at < unhealthy_after
            self.answer(200 if is_healthy else 500, {"healthy": is_healthy})

    def do_POST(self) -> None:
        with self.in_flight.one():
            body = self.read_body()
            if self.path != "/invocations":
                self.answer(404, {"message": f"no such path: {self.path}"})
                return
            orders = orders_in(self.headers.get(ATTRIBUTES, ""))
            time.sleep(float(orders.get("delay", os.environ.get("ECHO_DELAY", "0"))))
            if "crash" in orders:
                os._exit(int(orders["crash"]))
            fails = random.random() < float(os.environ.get("ECHO_FAILS", "0"))  # noqa: S311 (no secret)
            self.answer(
                int(orders.get("status", 500 if fails else 200)),
                self.what_was_asked(body, padding="x" * int(orders.get("size", 0))),
            )

    def what_was_asked(self, body: bytes, *, padding: str) -> dict[str, Any]:
        return {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("utf-8", "replace"),
            "body_base64": base64.b64encode(body).decode(),
            "env": dict(os.environ),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "model": self.model_files,
            "padding": padding,
        }

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return body

    def answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document, sort_keys=True).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if ATTRIBUTES in self.headers:
            self.send_header(ATTRIBUTES, self.headers[ATTRIBUTES])
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        if self.path != "/ping":
            print(f"echo: {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True  # idle connections must not hold up a stop; `InFlight` does where it matters
    request_queue_size = 128


def orders_in(attributes: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in attributes.split(";") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}


def hashes_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if "ECHO_CRASH" in os.environ:
        timer = threading.Timer(float(os.environ["ECHO_CRASH"]), lambda: os._exit(1))
        timer.daemon = True
        timer.start()
    time.sleep(float(os.environ.get("ECHO_START_DELAY", "0")))
    Handler.model_files = hashes_of(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model")
    address = (
        os.environ.get("SAGEMAKER_BIND_TO_HOST") or "0.0.0.0",  # noqa: S104 (the gateway is another container)
        int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080),
    )
    with Server(address, Handler) as server:
        stopper = threading.Thread(target=server.shutdown, daemon=True)
        signal.signal(signal.SIGTERM, lambda *_: stopper.start())
        print(f"echo: serving on {address[0]}:{address[1]}", flush=True)
        server.serve_forever(poll_interval=0.05)
        Handler.in_flight.wait_for_none()
