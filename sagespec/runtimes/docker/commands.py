"""Commands that run in a container, and the one that asks its program over HTTP.

`DockerRuntime.write` runs a move, `DockerRuntime.fetch` the small client below: what a program serves
need not be reachable from this machine.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Sequence
from typing import Any

from sagespec.errors import WorldError


def run(engine: Any, container_id: str, command: Sequence[str]) -> tuple[bytes, str]:
    """Standard output of a command in the container, and, when it failed, the last line of its complaint."""
    execution = engine.exec_create(container_id, list(command), user="0:0")["Id"]
    output, errors = engine.exec_start(execution, demux=True)
    code = engine.exec_inspect(execution)["ExitCode"]
    if code == 0:
        return output or b"", ""
    complaint = (errors or output or b"").decode(errors="replace").strip().rpartition("\n")[2]
    return b"", complaint or f"{command[0]} ended with {code}"


def requests_in_container(port: int, paths: Sequence[str], *, post: bool) -> list[str]:
    """The command that asks for all paths, one after the other."""
    return ["python3", "-I", "-S", "-c", _CLIENT, str(port), "POST" if post else "GET", *paths]


def bodies_of(name: str, paths: Sequence[str], output: bytes) -> list[bytes]:
    """What the program answered, path by path, from the output of that command."""
    bodies = []
    for path in paths:
        size = int.from_bytes(output[:8])
        bodies.append(_body(name, path, output[8 : 8 + size]))
        output = output[8 + size :]
    return bodies


# Runs in the container: one request after the other, each reply as it comes after 8 bytes of length.
_CLIENT = """\
import socket, sys
port, verb, *paths = sys.argv[1:]
for path in paths:
    try:
        with socket.create_connection(("127.0.0.1", int(port)), 10) as connection:
            head = f"{verb} {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", "Connection: close", "", ""
            connection.sendall("\\r\\n".join(head).encode())
            reply = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    except OSError as error:
        sys.exit(f"{path}: {error}")
    sys.stdout.buffer.write(len(reply).to_bytes(8, "big") + reply)
"""


def _body(name: str, path: str, reply: bytes) -> bytes:
    """The body of a raw HTTP reply whose status is 200."""

    class Received:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(reply)

    response = http.client.HTTPResponse(Received())  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except http.client.HTTPException as error:
        raise WorldError(f"{name} answered {path} with an incomplete reply: {error!r}") from error
    if response.status != 200:
        raise WorldError(f"{name} answered {path} with {response.status}: {body[:200].decode(errors='replace')}")
    return body
