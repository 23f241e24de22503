"""Carries one request from standard input to a courier, and its answer to standard output.

    carry PUT|GET|DELETE URL NAME ADDRESS PATIENCE_SECONDS

Run in the porter's container, which is in the couriers' network and has their token. The body of a PUT comes in chunks,
as HTTP has them. Standard error gets a plus sign once the courier is reached, before which nothing has been asked of
it, and later line feeds while it is silent, so that whoever waits knows that we live. Input that ends before the answer
ends us: nobody waits any more. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

PORT = 9000
TOKEN_FILE = "/run/secrets/courier_token"  # noqa: S105  # where it is, not what
PIECE_BYTES = 1 << 18
BEAT_SECONDS = 15.0
SILENCE_SECONDS = 300.0  # of the courier, when nothing is sent to it either
LINGER_SECONDS = 10.0  # after an answer
LOST_SECONDS = 30  # after which a node is lost that confirms nothing


class Carrying:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._moved_at = time.monotonic()
        self._is_done = False
        self._hung_up = threading.Event()

    def wait_for_the_end(self) -> None:
        """Of our input: whoever has the whole answer ends that. The engine may drop what it has not sent on when we
        end."""
        self._is_done = True
        for output in (1, 2):
            os.close(output)
        self._hung_up.wait(LINGER_SECONDS)

    def send(self) -> None:
        while piece := os.read(0, PIECE_BYTES):
            with suppress(OSError):  # the answer says why
                self._connection.sendall(piece)
            self._moved_at = time.monotonic()
        self._hung_up.set()
        os._exit(0 if self._is_done else 1)

    def receive(self) -> None:
        while True:
            if not select.select([self._connection], [], [], BEAT_SECONDS)[0]:
                os.write(2, b"\n")
                if time.monotonic() - self._moved_at > SILENCE_SECONDS:
                    fail(f"no byte for {SILENCE_SECONDS:g} s")
                continue
            piece = memoryview(self._connection.recv(PIECE_BYTES))
            if not piece:
                return
            self._moved_at = time.monotonic()
            while piece:
                piece = piece[os.write(1, piece) :]


def connected(address: str, patience: float) -> socket.socket:
    """One that has just been started may not listen yet, and its network may not lead there yet."""
    host, _, port = address.partition(":")
    give_up = time.monotonic() + patience
    while True:
        try:
            connection = socket.create_connection((host, int(port or PORT)), timeout=min(5.0, max(1.0, patience / 3)))
            break
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, LOST_SECONDS // 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, LOST_SECONDS // 6)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_SECONDS * 1000)
    return connection


def fail(reason: str) -> NoReturn:
    os.write(2, f"{reason}\n".encode(errors="replace"))
    os._exit(1)


def main() -> None:
    verb, url, name, address, patience = sys.argv[1:]
    try:
        token = Path(os.environ.get("COURIER_TOKEN_FILE", TOKEN_FILE)).read_text(encoding="ascii").strip()
        connection = connected(address, float(patience))
        os.write(2, b"+\n")
        head = [f"{verb} {url} HTTP/1.1", f"Host: {name}", f"Authorization: Bearer {token}", "Connection: close"]
        head += ["Transfer-Encoding: chunked"] if verb == "PUT" else []
        connection.sendall("\r\n".join([*head, "", ""]).encode("ascii"))
        carrying = Carrying(connection)
        threading.Thread(target=carrying.send, daemon=True).start()
        carrying.receive()
        carrying.wait_for_the_end()
    except OSError as error:
        fail(error.strerror or str(error))
    os._exit(0)


def wait() -> None:
    """The porter's own program: its container is there to be entered."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        signal.pause()
