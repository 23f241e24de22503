"""A program that is to keep running: killed, crashing, stopped and removed at any moment."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from sagespec.runtimes.process.restarts import MOST_SHORT_RUNS
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.state.observed import Container, ContainerState
from tests.runtimes.process.probe import ended, file, is_alive, needs_proc, run, shim_pid, wait_for

SERVES = """
import os, time
(base / "pid.new").write_text(str(os.getpid()))
(base / "pid.new").rename(base / "pid")
time.sleep(600)
"""
CRASHES = "raise SystemExit(4)"


def serve(runtime: ProcessRuntime, script: str, name: str = "server") -> str:
    return run(runtime, script, name, command="serve", keep_running=True)


def restarted(runtime: ProcessRuntime, name: str, times: int) -> Container:
    def look() -> Container | None:
        container = runtime.inspect(name)
        return container if container and container.restarts >= times else None

    return wait_for(look)


def test_a_killed_program_runs_again_at_once(runtime: ProcessRuntime) -> None:
    name = serve(runtime, SERVES)
    for number in range(1, 4):
        program = file(runtime, name, "pid")
        began = time.monotonic()
        os.kill(int(program), signal.SIGKILL)
        container = restarted(runtime, name, number)
        assert time.monotonic() - began < 5.0
        assert wait_for(lambda program=program: file(runtime, name, "pid") != program or None)  # type: ignore[misc]
        assert container.last_exit
        assert container.last_exit.code == 137
    said = list(runtime.logs(name))
    assert len(said) == 3
    assert said[0].startswith("sagespec: the program exited with code 137 after ")
    assert said[0].endswith(" s; it is started again in 0.1 s (restart 1)")


@needs_proc
def test_a_killed_supervisor_is_the_end_of_its_container(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = serve(runtime, SERVES)
    program = int(file(runtime, name, "pid"))
    os.kill(shim_pid(tmp_path, name), signal.SIGKILL)
    assert ended(runtime, name).exit_code == 137
    wait_for(lambda: None if is_alive(program) else True)
    assert runtime.start(name).state is ContainerState.RUNNING


def test_a_supervisor_that_is_killed_while_it_waits_leaves_the_code_of_the_program(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    name = serve(runtime, CRASHES)
    restarted(runtime, name, 4)  # it waits long enough to be met waiting
    wait_for(lambda: ((c := runtime.inspect(name)) and c.state is ContainerState.RESTARTING) or None)
    os.kill(shim_pid(tmp_path, name), signal.SIGKILL)
    container = ended(runtime, name)
    assert container.exit_code == 4
    assert container.last_exit
    assert container.last_exit.code == 4


def test_what_is_stopped_or_removed_at_any_moment_never_comes_back(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """While the program starts, runs for a moment, ends, or waits to be started again."""
    moments = random.Random(9)
    names = [serve(runtime, "import time; time.sleep(0.02); raise SystemExit(1)", f"n{n}") for n in range(16)]
    for name in names:
        time.sleep(moments.uniform(0, 0.05))
        if moments.random() < 0.5:
            runtime.stop(name, grace_seconds=moments.choice([0, 5]))
            container = runtime.inspect(name)
            assert container
            assert container.state is ContainerState.EXITED
        else:
            runtime.remove(name)
    left = runtime.containers()
    time.sleep(0.5)
    assert runtime.containers() == left
    assert {container.state for container in left} == {ContainerState.EXITED}


def test_a_supervisor_whose_folder_was_deleted_while_it_waits_ends(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = serve(runtime, CRASHES)
    restarted(runtime, name, 2)
    supervisor = shim_pid(tmp_path, name)
    (tmp_path / "run" / name / "container.json").unlink()
    wait_for(lambda: None if is_alive(supervisor) else True)


def test_what_the_program_left_behind_does_not_outlive_its_restart(runtime: ProcessRuntime) -> None:
    script = """
import subprocess, time
if not (base / "child").exists():
    child = subprocess.Popen(["sleep", "600"])
    (base / "child").write_text(str(child.pid))
    raise SystemExit(1)
time.sleep(600)
"""
    name = serve(runtime, script)
    restarted(runtime, name, 1)
    assert not is_alive(int(file(runtime, name, "child")))


@pytest.mark.slow
def test_a_program_that_always_ends_at_once_is_given_up(runtime: ProcessRuntime) -> None:
    name = serve(runtime, CRASHES)
    container = ended(runtime, name)
    assert (container.exit_code, container.restarts) == (4, MOST_SHORT_RUNS - 1)
    assert list(runtime.logs(name))[-1].endswith(
        "; it has ended too soon too many times, so only sagespec apply starts it again"
    )
    assert runtime.start(name).restarts == 0
