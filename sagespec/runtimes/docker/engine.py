"""The engine itself: the connection to it, and its refusals as errors that say what to do.

`connect` finds the engine as the command line does. All that the other files ask of it they ask under
`refusals`, which turns what the SDK raises into WorldError.
"""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.credentials.errors import StoreError
from docker.errors import APIError, DockerException

from sagespec.errors import WorldError
from sagespec.runtimes.docker.credentials import refused_login
from sagespec.runtimes.protocol import PortTaken

ANSWER_SECONDS = 120.0  # between two bytes of the engine, not for a whole transfer

_OLDEST_API = (1, 40)  # Docker 19.03
_FIRST_ANSWER_SECONDS = 5.0


def connect() -> Any:
    endpoint = engine_address()
    try:
        if endpoint.startswith("unix://"):  # checked first, as the SDK would leave the socket open if nothing answers
            with socket.socket(socket.AF_UNIX) as first:
                first.settimeout(_FIRST_ANSWER_SECONDS)
                first.connect(endpoint.removeprefix("unix://"))
        engine = docker.DockerClient.from_env(
            version="auto", timeout=_FIRST_ANSWER_SECONDS, max_pool_size=64, use_ssh_client=True
        ).api
    except (DockerException, requests.RequestException, OSError) as error:
        raise _not_answering(error) from error
    version = tuple(int(part) for part in engine.api_version.split("."))
    if version < _OLDEST_API:
        engine.close()
        raise WorldError(
            f"the Docker engine at {endpoint} has API {engine.api_version}, which is too old",
            why=f"sagespec needs {'.'.join(map(str, _OLDEST_API))} (Docker 19.03) or newer",
            fix="update the engine",
        )
    engine.timeout, engine.calls = ANSWER_SECONDS, _count_calls(engine)
    return engine


def _count_calls(engine: Any) -> Counter[str]:
    """How many requests it is sent from here on, by how they end: done, which a refusal is, too, or failed."""
    calls, send = Counter[str](), engine.send

    def counted(*given: Any, **options: Any) -> Any:
        try:
            answer = send(*given, **options)
        except Exception:
            calls["failed"] += 1
            raise
        calls["failed" if answer.status_code >= 500 else "done"] += 1
        return answer

    engine.send = counted
    return calls


def engine_address() -> str:
    """Where the engine is looked for: DOCKER_HOST, else the command line's current context."""
    with suppress(Exception):  # the connection reports a damaged context
        return os.environ.get("DOCKER_HOST") or str(ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT")).Host)
    return "the default address"


def _not_answering(error: BaseException) -> WorldError:
    causes = _causes(error)
    if any(isinstance(cause, PermissionError) for cause in causes):
        return WorldError(
            f"the Docker engine at {engine_address()} cannot be used: permission denied",
            why="its socket is open to root and to the group docker",
            fix="sudo usermod -aG docker $USER, then log in again; or --runtime process",
        )
    reason = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return WorldError(
        f"no Docker engine answers at {engine_address()}: {reason}",
        fix="start Docker or set DOCKER_HOST (`sagespec doctor` has details); or --runtime process",
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error, what it was raised from, and what those carry as arguments, as urllib3's do."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return found


@contextmanager
def refusals(doing: str) -> Iterator[None]:
    """What the engine refuses inside becomes a WorldError that says what to do about it."""
    try:
        yield
    except APIError as error:
        raise refused(doing, explanation(error)) from error
    except (DockerException, requests.RequestException, StoreError) as error:
        said = next((cause for cause in _causes(error) if isinstance(cause, StoreError)), None)
        raise (refused_login(said) if said else _not_answering(error)) from error


def explanation(error: APIError) -> str:
    return str(error.explanation or error)


def refused(doing: str, said: str) -> WorldError:
    port = re.search(r"((?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:]+\]):(\d+)", said)
    if port and re.search("port is already allocated|address already in use", said):
        return PortTaken(
            f"port {port[2]} on {port[1]} is in use, so the engine could not {doing}",
            why="another container or program listens there",
            fix="stop it, or set gateway.port in sagespec.yaml, or below `project` in the environment's file",
        )
    fix = next((fix for pattern, fix in _WAYS_OUT if re.search(pattern, said, re.IGNORECASE)), "")
    return WorldError(f"the engine could not {doing}: {said.strip()}", fix=fix)


# What engines say, and what to do about it.
NO_PROGRAM = "executable file not found|exec: .*(no such file|permission denied|is a directory)"
_WAYS_OUT = (
    (
        "no space left on device",
        "`docker system df` shows what uses space; `docker image prune` and `docker container prune` free some",
    ),
    (
        "address pool|non-overlapping",
        "all subnets for networks are in use: `docker network prune` removes unused networks",
    ),
    ("range of cpus", "lower resources.cpus: the engine's machine has fewer"),
    (
        NO_PROGRAM,
        "a container is run with the word train or serve, as SageMaker does: give the image an ENTRYPOINT that "
        "takes the word, or executables (chmod +x) of these names on its PATH",
    ),
    ("exec format error", "the image is for another processor architecture: build or pull it for the engine's"),
    ("no such image", "run the command again: it fetches or builds the image"),
)
