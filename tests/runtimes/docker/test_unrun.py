"""A program that a real engine could start and the kernel could not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.runtimes.docker.runtime import DockerRuntime
from sagespec.state.launches import Launch
from tests.runtimes.docker.probe import until

pytestmark = pytest.mark.docker

PROGRAM = "/opt/ml/code/own"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#!/bin/sh\r\necho\r\n", f"{PROGRAM} has Windows line ends (CRLF): "),
        (b"#!/usr/bin/env sh\r\necho\r\n", f"{PROGRAM} has Windows line ends (CRLF): "),
        (
            b"#!/usr/bin/python9 -u\n",
            f"{PROGRAM} is to be run by /usr/bin/python9 -u (its first line), which the image",
        ),
        (b"#!/usr/bin/env python9\n", f"{PROGRAM} is to be run by python9 (its first line), which the image does not"),
        (b"echo\n", f"{PROGRAM} does not say what runs it: its first line must name its interpreter"),
        (b"#!/bin/sh\necho 'exec /bin/sh: no such file or directory'; exit 1\n", ""),
        (b"#!/bin/sh\nexit 1\n", ""),
        (b"#!/bin/sh\necho 1\necho 2\necho 'exec /bin/sh: no such file or directory'\n", ""),
    ],
)
def test_why_a_program_never_ran(
    runtime: DockerRuntime, a_job: Callable[..., list[Launch]], tmp_path: Path, content: bytes, said: str
) -> None:
    (launch,) = (replace(launch, entrypoint=(PROGRAM,)) for launch in a_job(""))
    (tmp_path / "own").write_bytes(content)
    (tmp_path / "own").chmod(0o755)
    runtime.create([launch])
    runtime.put(launch.name, "code", tmp_path)
    runtime.start(launch.name)
    list(runtime.logs(launch.name, follow=True))
    why = runtime.why_not_run(launch.name)
    assert why.startswith(said)
    assert bool(why) == bool(said)


def test_why_a_server_that_is_started_again_never_ran(
    runtime: DockerRuntime, a_server: Callable[..., Launch], tmp_path: Path
) -> None:
    launch = replace(a_server(), entrypoint=(PROGRAM,), keep_running=True)
    (tmp_path / "own").write_bytes(b"#!/usr/bin/env sh\r\n")
    (tmp_path / "own").chmod(0o755)
    runtime.create([launch])
    runtime.put(launch.name, "code", tmp_path)
    runtime.start(launch.name)
    until(lambda: (container := runtime.inspect(launch.name)) and container.restarts >= 2)
    assert runtime.why_not_run(launch.name).startswith(f"{PROGRAM} has Windows line ends (CRLF): ")
