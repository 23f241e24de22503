"""The choice between engines. Each is imported only when it is chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from sagespec.errors import WorldError
from sagespec.runtimes.opened import Open, no_secrets
from sagespec.runtimes.protocol import Runtime


def images_dir() -> Path:
    """The folder of the built-in programs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "images"
    return installed if installed.is_dir() else package.parent / "images"


def choose(
    wanted: Literal["auto", "docker", "process"],
    project_name: str,
    root: Path,
    *,
    containers: Path | None = None,
    last: str = "",
    marks: Callable[[], Mapping[str, str]] = dict,
    open_secret: Open = no_secrets,
) -> tuple[Runtime, str]:
    """The runtime of the project at `root`, and a line for people that says which it is and why.

    containers: where local processes are kept, if not in its folder .sagespec.

    last: the runtime of the last apply. `auto` stays with it, so that an engine that comes or goes never has
    one project run twice; where that one was docker and does not answer, WorldError. So it is when Docker is
    wanted by name, or by DOCKER_HOST. The engines' modules are imported here, because the Docker SDK takes a
    tenth of a second that the process runtime need not pay. marks: labels that tell whose containers they are, on an
    engine that several checkouts may use. open_secret: what the containers' secrets are opened with.
    """
    reason = "as requested"
    if wanted == "auto" and last == "process":
        wanted, reason = "process", "this project runs there; after `sagespec destroy` it can choose again"
    if wanted != "process":
        from sagespec.runtimes.docker.runtime import DockerRuntime

        no_docker = DockerRuntime.answers() if wanted == "auto" else None
        if no_docker is None:
            docker = DockerRuntime(project_name, images_dir(), root, marks, open_secret)
            return docker, f"runtime docker: {docker.engine}"
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
        reason = no_docker
    from sagespec.runtimes.process.runtime import ProcessRuntime

    folder = containers or root / ".sagespec" / "containers"
    process = ProcessRuntime(project_name, folder, images_dir(), root, open_secret)
    return process, f"runtime process (local programs, no isolation): {reason}"
