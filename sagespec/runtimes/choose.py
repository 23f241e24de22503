"""The choice between engines. Each is imported only when it is chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.runtimes.opened import Open, no_secrets
from sagespec.runtimes.protocol import Runtime
from sagespec.spec.runtimes import RUNTIME_CHOICES, RUNTIME_NAMES, RuntimeName


def images_dir() -> Path:
    """The folder of the built-in programs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "images"
    return installed if installed.is_dir() else package.parent / "images"


@dataclass(frozen=True)
class Opening:
    """What every engine is opened with. containers: where local processes are kept. marks: labels that tell whose
    containers they are, on an engine that several checkouts may use. open_secret: what the containers' secrets are
    opened with."""

    project_name: str
    root: Path
    containers: Path
    marks: Callable[[], Mapping[str, str]]
    open_secret: Open


def _docker(opening: Opening, _reason: str) -> tuple[Runtime, str]:
    from sagespec.runtimes.docker.runtime import DockerRuntime

    docker = DockerRuntime(opening.project_name, images_dir(), opening.root, opening.marks, opening.open_secret)
    return docker, f"runtime docker: {docker.engine}"


def _process(opening: Opening, reason: str) -> tuple[Runtime, str]:
    from sagespec.runtimes.process.runtime import ProcessRuntime

    process = ProcessRuntime(opening.project_name, opening.containers, images_dir(), opening.root, opening.open_secret)
    return process, f"runtime process (local programs, no isolation): {reason}"


# The engines' modules are imported when they are opened: the Docker SDK takes a tenth of a second that the process
# runtime need not pay. Each says for people which it is, and, where that is not plain, why.
LOADERS: Mapping[RuntimeName, Callable[[Opening, str], tuple[Runtime, str]]] = {
    "docker": _docker,
    "process": _process,
}


def choose(
    wanted: str,
    project_name: str,
    root: Path,
    *,
    containers: Path | None = None,
    last: str = "",
    marks: Callable[[], Mapping[str, str]] = dict,
    open_secret: Open = no_secrets,
) -> tuple[Runtime, str]:
    """The runtime of the project at `root`, and a line for people that says which it is and why.

    wanted: auto, or one of RUNTIME_NAMES. containers: where local processes are kept, if not in its folder .sagespec.
    last: the runtime of the last apply. `auto` stays with it, so that an engine that comes or goes never has
    one project run twice; where that one was docker and does not answer, WorldError. So it is when Docker is
    wanted by name, or by DOCKER_HOST.
    """
    name, reason = _automatic(last) if wanted == "auto" else (_checked(wanted), "as requested")
    opening = Opening(project_name, root, containers or root / ".sagespec" / "containers", marks, open_secret)
    return LOADERS[name](opening, reason)


def _checked(wanted: str) -> RuntimeName:
    found = next((name for name in RUNTIME_NAMES if name == wanted), None)
    if found is None:
        raise WorldError(f"there is no runtime {wanted}", fix=f"use one of {', '.join(RUNTIME_CHOICES)}")
    return found


def _automatic(last: str) -> tuple[RuntimeName, str]:
    """Docker where it answers, and the reason where it is not."""
    if last == "process":
        return "process", "this project runs there; after `sagespec destroy` it can choose again"
    from sagespec.runtimes.docker.runtime import DockerRuntime

    no_docker = DockerRuntime.answers()
    if no_docker is None:
        return "docker", ""
    if last == "docker":
        raise WorldError(
            no_docker,
            why="this project runs on Docker, and must not run a second time as local processes",
            fix="start the engine; to move the project, run `sagespec destroy` there first",
        )
    if os.environ.get("DOCKER_HOST"):
        raise WorldError(
            no_docker,
            why="DOCKER_HOST names an engine, so local processes are probably not what you want",
            fix="start that engine, unset DOCKER_HOST, or pass --runtime process",
        )
    return "process", no_docker
