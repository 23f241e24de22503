"""The choice between engines. Each is imported only when it is chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.runtimes.opened import Open, no_secrets
from sagespec.runtimes.protocol import Runtime
from sagespec.spec.runtimes import RUNTIME_CHOICES, RUNTIME_NAMES, RuntimeName
from sagespec.spec.swarm import SwarmSettings

SWARM_SETTING = "runtime: {swarm: {registry: HOST:PORT/PATH}}"
SWARM_AGAIN = f"write {SWARM_SETTING} in sagespec.yaml again, run `sagespec destroy`, and then change it"


def images_dir() -> Path:
    """The folder of the built-in programs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "images"
    return installed if installed.is_dir() else package.parent / "images"


@dataclass(frozen=True)
class Opening:
    """What every engine is opened with. containers: where local processes are kept. marks: labels that tell whose
    containers they are, on an engine that several checkouts may use. open_secret: what the containers' secrets are
    opened with. swarm: what the settings say of one. last: the runtime of the last apply."""

    project_name: str
    root: Path
    containers: Path
    marks: Callable[[], Mapping[str, str]]
    open_secret: Open
    swarm: SwarmSettings | None = None
    last: str = ""


def _docker(opening: Opening, _reason: str) -> tuple[Runtime, str]:
    from sagespec.runtimes.docker.runtime import DockerRuntime

    docker = DockerRuntime(opening.project_name, images_dir(), opening.root, opening.marks, opening.open_secret)
    return docker, f"runtime docker: {docker.engine}"


def _process(opening: Opening, reason: str) -> tuple[Runtime, str]:
    from sagespec.runtimes.process.runtime import ProcessRuntime

    process = ProcessRuntime(opening.project_name, opening.containers, images_dir(), opening.root, opening.open_secret)
    return process, f"runtime process (local programs, no isolation): {reason}"


def _swarm(opening: Opening, _reason: str) -> tuple[Runtime, str]:
    from sagespec.runtimes.swarm.runtime import SwarmRuntime

    if opening.swarm is None:
        raise WorldError(
            "the project names no registry, from which all nodes of a Swarm get images",
            why="this project runs on a Swarm" if opening.last == "swarm" else "",
            fix=SWARM_AGAIN if opening.last == "swarm" else f"write {SWARM_SETTING} in sagespec.yaml",
        )
    swarm = SwarmRuntime(
        opening.project_name,
        images_dir(),
        opening.root,
        opening.marks,
        opening.open_secret,
        registry=opening.swarm.registry,
        managers=opening.swarm.managers,
    )
    return swarm, f"runtime swarm: {swarm.engine}"


# The engines' modules are imported when they are opened: the Docker SDK takes a tenth of a second that the process
# runtime need not pay. Each says for people which it is, and, where that is not plain, why.
LOADERS: Mapping[RuntimeName, Callable[[Opening, str], tuple[Runtime, str]]] = {
    "docker": _docker,
    "process": _process,
    "swarm": _swarm,
}


def choose(
    wanted: str,
    project_name: str,
    root: Path,
    *,
    containers: Path | None = None,
    last: str = "",
    swarm: SwarmSettings | None = None,
    marks: Callable[[], Mapping[str, str]] = dict,
    open_secret: Open = no_secrets,
) -> tuple[Runtime, str]:
    """The runtime of the project at `root`, and a line for people that says which it is and why.

    wanted: auto, or one of RUNTIME_NAMES. containers: where local processes are kept, if not in its folder .sagespec.
    last: the runtime of the last apply. `auto` stays with it, so that an engine that comes or goes never has
    one project run twice; where that one was docker and does not answer, WorldError. So it is when Docker is
    wanted by name, or by DOCKER_HOST. swarm: what the settings say of one; without it, `auto` takes none.
    """
    name, reason = _automatic(last, swarm) if wanted == "auto" else (_checked(wanted), "as requested")
    folder = containers or root / ".sagespec" / "containers"
    opening = Opening(project_name, root, folder, marks, open_secret, swarm, last)
    return LOADERS[name](opening, reason)


def _checked(wanted: str) -> RuntimeName:
    found = next((name for name in RUNTIME_NAMES if name == wanted), None)
    if found is None:
        raise WorldError(f"there is no runtime {wanted}", fix=f"use one of {', '.join(RUNTIME_CHOICES)}")
    return found


def _automatic(last: str, swarm: SwarmSettings | None) -> tuple[RuntimeName, str]:
    """A Swarm where the settings name one and the engine manages it, else Docker where it answers, and the reason where
    it does not."""
    if last == "process":
        return "process", "this project runs there; after `sagespec destroy` it can choose again"
    if last == "swarm" or (swarm and not last and _manages_swarm()):
        return "swarm", ""
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


def _manages_swarm() -> bool:
    from sagespec.runtimes.docker.engine import connect
    from sagespec.runtimes.swarm.cluster import own_node

    with suppress(WorldError), closing(connect()) as engine:
        own_node(engine)
        return True
    return False
