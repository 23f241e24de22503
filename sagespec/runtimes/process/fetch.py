"""HTTP requests to a local process, for what is only served to its own machine."""

from __future__ import annotations

import http.client
from collections.abc import Sequence

from sagespec.errors import WorldError
from sagespec.runtimes.process.containers import Containers
from sagespec.runtimes.process.ports import HOST

_ANSWER_SECONDS = 10.0


def bodies_of(containers: Containers, name: str, *, port: int, paths: Sequence[str], post: bool) -> list[bytes]:
    """What the program in `name` answers on `port`, path by path, over one connection."""
    record = containers.need(name)
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    bodies: list[bytes] = []
    path = ""
    try:
        for path in paths:
            connection.request("POST" if post else "GET", path)
            response = connection.getresponse()
            bodies.append(response.read())
            if response.status != http.client.OK:
                raise WorldError(f"{name} answered {response.status} to {path}", fix=f"see sagespec logs {name}")
    except (OSError, http.client.HTTPException) as error:
        is_running = containers.is_running(name)
        raise WorldError(
            f"{name} does not answer {path} on {HOST}:{port}: {error or type(error).__name__}",
            why="it is running, but busy or stuck" if is_running else "it is not up yet, or has ended",
            fix=f"see sagespec logs {record.launch.address.whole}",
        ) from error
    finally:
        connection.close()
    return bodies
