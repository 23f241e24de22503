"""The program that the tests of DockerRuntime run, and what they share to run it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.sources.build import BuildFolder
from sagespec.state.launches import Launch
from sagespec.state.programs import Build, Builtin

PROBE = Builtin("probe")


HASH = "1-0123456789abcdef"


def silent(_line: str) -> None:
    pass


def write_program(images: Path, name: str, dockerfile: str) -> None:
    (images / name).mkdir()
    (images / name / "Dockerfile").write_text(dockerfile)


def reference(runtime: DockerRuntime) -> str:
    return next(image.reference for image in runtime.images() if image.name == "probe")


def run(runtime: DockerRuntime, launch: Launch) -> list[str]:
    """Create and start, wait for the end; what it printed, after the line of the probe itself."""
    runtime.create([launch])
    runtime.start(launch.name)
    return list(runtime.logs(launch.name, follow=True))[1:]


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.02)


def a_build(folder: Path, dockerfile: str = "Dockerfile", args: tuple[tuple[str, str], ...] = ()) -> Build:
    context = BuildFolder(folder, dockerfile, dict(args)).hash()
    return Build(str(folder), context, dockerfile, args)
