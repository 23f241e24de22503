"""How requests are read: as cheroot does, but no body is kept in memory because nobody asked for it.

A client that is refused has not always been read to its end. cheroot would read the rest in one piece, and a chunk of a
body that comes in chunks, too: the size of either is the client's to choose, whoever it is.
"""

from __future__ import annotations

import re
import time
from typing import Any

from cheroot.server import ChunkedRFile, HTTPRequest, KnownLengthRFile

HEAD_SECONDS = 5.0  # between two pieces of a request's head
DRAIN_SECONDS = 10.0  # for what is left of a body: a client that still sends it would not see the answer
_BLOCK_BYTES = 2**16
_MOST_LINE_BYTES = 2**10
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")


class CutBody(ConnectionError):
    """The client has gone, or does not keep to the form of chunks."""


class Chunks(ChunkedRFile):
    """The body of a request that comes in chunks, each read piece by piece."""

    _left = 0  # of the chunk that is being read

    def _fetch(self) -> None:
        if self.closed:
            return
        if not self._left:
            self._left = self._next_size()
            self.closed = not self._left
            if self.closed:
                return
        piece = self.rfile.read(min(self._left, _BLOCK_BYTES))
        if not piece:
            raise CutBody("the body ends inside a chunk")
        self.buffer += piece
        self._left -= len(piece)
        if not self._left and self.rfile.read(2) != b"\r\n":
            raise CutBody("a chunk does not end where it says")

    def _next_size(self) -> int:
        line = self.rfile.readline(_MOST_LINE_BYTES)
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _SIZE.fullmatch(size):
            raise CutBody("the body ends before its last chunk, or is not in chunks")
        return int(size, 16)


class Request(HTTPRequest):
    """What is no request is refused, and is no fault of ours."""

    def parse_request(self) -> None:
        """A client that falls silent inside a head keeps a thread from all others, so it gets less time for that."""
        self.conn.socket.settimeout(HEAD_SECONDS)
        try:
            super().parse_request()
        except (ValueError, UnboundLocalError):  # cheroot's, of a target that is none, and of a first line with a blank
            self._refuse("this is no request of HTTP")
        finally:
            self.conn.socket.settimeout(self.server.timeout)

    def read_request_headers(self) -> bool:
        """No value may begin another header where it is sent on or sent back."""
        is_read = bool(super().read_request_headers())  # type: ignore[no-untyped-call]
        if is_read and any(_CONTROLS.search(part) for item in self.inheaders.items() for part in item):
            self._refuse("a header has control characters")
            return False
        return is_read

    def respond(self) -> None:
        if self.chunked_read:
            self.rfile = Chunks(self.conn.rfile, 0)
        else:
            self.rfile = KnownLengthRFile(self.conn.rfile, int(self.inheaders.get(b"Content-Length", 0)))
        self.server.gateway(self).respond()
        if self.ready:
            self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")

    def send_headers(self) -> None:
        if int(self.status[:3]) == 413 or not _is_drained(self.rfile):  # 413: too large to be read
            self.close_connection = True
            self.rfile = KnownLengthRFile(self.conn.rfile, 0)  # the rest is read by nobody
        super().send_headers()

    def _refuse(self, why: str) -> None:
        self.simple_response("400 Bad Request", why)


def _is_drained(body: Any) -> bool:
    """Whether all of it was read, here or before; what is read here is thrown away."""
    until = time.monotonic() + DRAIN_SECONDS
    try:
        while body.read(_BLOCK_BYTES):
            if time.monotonic() > until:
                return False
    except OSError:
        return False
    return getattr(body, "remaining", 0) == 0
