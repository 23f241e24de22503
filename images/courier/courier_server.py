"""Brings the files of one container of a cluster, on whichever node it runs: HTTP, for who knows the token.

It has the container's volume at /opt/ml, and listens on a network that programs of users are not in.

  PUT    /tar?path=input/data   a tar is unpacked there; each file is written under another name and renamed
  GET    /tar?path=model        the folder as a tar; an empty one when it is missing
  GET    /file?path=…&limit=9   the first bytes of a regular file; 404 when there is none
  DELETE /tar?path=             what is in the volume that is mounted there is removed

Each request names in Host which courier it means, as addresses pass from one to another. What goes wrong in the middle
of an answer breaks it off. Standard library only.
"""

from __future__ import annotations

import errno
import hmac
import http.server
import os
import signal
import socket
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

from courier_volume import PIECE_BYTES, Refused, Volume

PORT = 9000
TOKEN_FILE = "/run/secrets/courier_token"  # noqa: S105  # where it is, not what
SILENCE_SECONDS = 300.0
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR, errno.ENAMETOOLONG)
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Body:
    """A request's body, which comes in chunks, as a file."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream, self._left, self._is_done = stream, 0, False

    def read(self, size: int) -> bytes:
        if not self._left and not self._is_done:
            self._next_chunk()
        if self._is_done:
            return b""
        piece = self._stream.read(min(size, self._left))
        self._left -= len(piece)
        if not piece or (not self._left and self._stream.read(2) != b"\r\n"):
            raise Refused("the request broke off")
        return piece

    def _next_chunk(self) -> None:
        line = self._stream.readline(20)
        try:
            self._left = int(line.removesuffix(b"\r\n"), 16)
        except ValueError:
            raise Refused("the request broke off") from None
        self._is_done = not self._left


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_SECONDS
    volume: Volume
    name: str
    token: bytes
    _has_answered = False

    def do_PUT(self) -> None:
        self._answer({"/tar": self._unpack})

    def do_GET(self) -> None:
        self._answer({"/tar": self._pack, "/file": self._file})

    def do_DELETE(self) -> None:
        self._answer({"/tar": self._empty})

    def _answer(self, acts: Mapping[str, Callable[[str, str], None]]) -> None:
        self.close_connection = True
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query, errors="surrogateescape").items()}
        given = self.headers.get("Authorization", "").encode(errors="replace")
        try:
            if not hmac.compare_digest(given, b"Bearer " + self.token):
                self._say(401, "this is not the token")
            elif self.headers.get("Host") != self.name:
                self._say(421, f"this is the courier of {self.name}")
            elif act := acts.get(url.path):
                act(asked.get("path", ""), asked.get("limit", "0"))
            else:
                self._say(404, "nothing is here")
        except (Refused, ValueError, tarfile.TarError) as error:
            self._fail(400, str(error))
        except OSError as error:
            self._fail(507 if error.errno in _FULL else 409 if error.errno in _IN_THE_WAY else 500, _words(error))
        self._read_rest()

    def _unpack(self, path: str, _limit: str) -> None:
        body = Body(self.rfile)
        with tarfile.open(fileobj=body, mode="r|", bufsize=PIECE_BYTES) as archive:  # type: ignore[call-overload]
            for member in archive:
                at = f"{path}/{member.name}"
                if member.isdir():
                    self.volume.make_folder(at)
                elif member.isreg():
                    self.volume.write(at, archive.extractfile(member), member.mode)
                else:
                    raise Refused(f"{at} is neither a file nor a folder")
        while body.read(PIECE_BYTES):
            pass
        self._say(200, "")

    def _pack(self, path: str, _limit: str) -> None:
        self._begin(200)
        for piece in joined(self.volume.tar(path)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _file(self, path: str, limit: str) -> None:
        try:
            with self.volume.file(path) as file:
                left = int(limit)
                self._begin(200)
                while left and (piece := file.read(min(left, PIECE_BYTES))):
                    left -= len(piece)
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
        except OSError as error:
            if error.errno not in _NO_FILE or self._has_answered:
                raise
            self._say(404, "no file is there")

    def _empty(self, path: str, _limit: str) -> None:
        with suppress(FileNotFoundError):
            self.volume.empty(path)
        self._say(200, "")

    def _begin(self, status: int) -> None:
        self._has_answered = True
        self.send_response(status)
        self.send_header("Connection", "close")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _say(self, status: int, text: str) -> None:
        self._begin(status)
        line = text.encode(errors="replace")
        self.wfile.write((b"%x\r\n%b\r\n" % (len(line), line) if line else b"") + b"0\r\n\r\n")

    def _fail(self, status: int, text: str) -> None:
        print(f"{self.command} {self.path[:200]!r}: {text}", flush=True)
        if not self._has_answered:
            with suppress(OSError):
                self._say(status, text)

    def _read_rest(self) -> None:
        """An answer that comes before the end of its request would be lost, were the connection closed at once."""
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(PIECE_BYTES):
                pass

    def log_message(self, *_args: object) -> None:
        """Small requests come several times a second."""


def joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: small files go together."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def main() -> None:
    def end(*_: object) -> NoReturn:
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    os.umask(0)
    Handler.volume = Volume(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))
    Handler.name = os.environ["COURIER_NAME"]
    Handler.token = Path(os.environ.get("COURIER_TOKEN_FILE", TOKEN_FILE)).read_bytes().strip()
    if not Handler.token:
        sys.exit("the token is empty")
    server = http.server.ThreadingHTTPServer(("", int(os.environ.get("COURIER_PORT", PORT))), Handler)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
