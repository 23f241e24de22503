"""Local processes: supervised, signalled, and gone with all that they started."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.process.containers import Containers
from sagespec.runtimes.process.processes import start_process
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.process.shim import LOOK_EVERY_SECONDS
from sagespec.runtimes.process.shim_record import ID_VARIABLE, record_line
from sagespec.state.observed import ContainerState
from tests.runtimes.process.probe import (
    SLEEP,
    a_launch,
    ended,
    file,
    is_alive,
    needs_proc,
    run,
    shim_pid,
    wait_for,
)


@needs_proc
def test_a_killed_supervisor_takes_its_program_along(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = run(runtime, f"import os; (base / 'pid').write_text(str(os.getpid())); {SLEEP}")
    program = int(file(runtime, name, "pid"))
    os.kill(shim_pid(tmp_path, name), signal.SIGKILL)
    assert ended(runtime, name).exit_code == 137
    wait_for(lambda: None if is_alive(program) else True)


@needs_proc
def test_what_a_killed_supervisor_left_ends_with_the_container(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """A child of the program that left its process group is known by its environment."""
    script = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
(base / "child").write_text(str(child.pid))
{SLEEP}
"""
    name = run(runtime, script)
    child = int(file(runtime, name, "child"))
    os.kill(shim_pid(tmp_path, name), signal.SIGKILL)
    ended(runtime, name)
    runtime.stop(name, grace_seconds=0)
    wait_for(lambda: None if is_alive(child) else True)


def test_a_late_starter_leaves_the_next_container_of_its_name_alone(
    runtime: ProcessRuntime, tmp_path: Path, project_name: str
) -> None:
    """A killed apply leaves its starter at work, and the next apply may have replaced the container by then."""
    containers = Containers(tmp_path / "run", project_name)
    runtime.create([a_launch()])
    replaced = containers.need("job")
    runtime.remove("job")
    runtime.create([a_launch()])

    with pytest.raises(WorldError, match="container job did not start: it was replaced"):
        start_process(containers, replaced, command=["/bin/sleep", "600"], environment={ID_VARIABLE: replaced.id})
    assert [container.state for container in runtime.containers()] == [ContainerState.CREATED]
    runtime.remove("job")


@needs_proc
@pytest.mark.parametrize("session", [False, True], ids=["in its group", "in a session of its own"])
def test_children_end_with_their_program(runtime: ProcessRuntime, session: bool) -> None:
    script = f"""
import subprocess
child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600"], start_new_session={session})
(base / "child").write_text(str(child.pid))
raise SystemExit(3)
"""
    name = run(runtime, script)
    assert ended(runtime, name).exit_code == 3
    assert not is_alive(int(file(runtime, name, "child")))


def test_only_the_program_itself_hears_sigterm(runtime: ProcessRuntime) -> None:
    """As in a container, where it goes to PID 1: workers must live on while the program saves its model."""
    script = """
import signal, subprocess, sys, time
worker = subprocess.Popen(["sleep", "600"])
def end(*_):
    time.sleep(0.1)
    sys.exit(7 if worker.poll() is None else 8)
signal.signal(signal.SIGTERM, end)
(base / "ready").write_text("1")
while True:  # a signal between two instructions does not interrupt a sleep that begins after it
    time.sleep(0.05)
"""
    name = run(runtime, script)
    file(runtime, name, "ready")
    runtime.stop(name, grace_seconds=10)
    assert ended(runtime, name).exit_code == 7


def test_a_signal_is_told_as_128_and_its_number(runtime: ProcessRuntime) -> None:
    assert ended(runtime, run(runtime, "import os; os.abort()")).exit_code == 128 + signal.SIGABRT


def test_a_record_nobody_holds_is_of_the_dead_even_when_its_pid_lives(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "run" / "job" / "process").write_bytes(record_line(os.getpid(), time.time()))
    container = runtime.inspect("job")
    assert container is not None
    assert (container.state, container.exit_code) == (ContainerState.EXITED, 137)
    runtime.remove("job")  # and does not kill us


def test_an_exited_container_can_be_started_again(runtime: ProcessRuntime) -> None:
    script = """
count = len(list(base.glob("run*")))
(base / f"run{count}").touch()
print("run", count)
raise SystemExit(count)
"""
    name = run(runtime, script)
    assert ended(runtime, name).exit_code == 0
    runtime.start(name)
    assert ended(runtime, name).exit_code == 1
    assert list(runtime.logs(name)) == ["run 0", "run 1"]


def test_a_program_that_is_gone_says_so_in_the_log(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "images" / "probe" / "train").unlink()
    runtime.start("job")
    assert ended(runtime, "job").exit_code == 2
    assert "No such file" in "\n".join(runtime.logs("job"))


@needs_proc
def test_a_program_whose_folder_was_deleted_ends(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """As by `git clean -fdx`: nobody could find it any more."""
    name = run(runtime, f"import os; (base / 'pid').write_text(str(os.getpid())); {SLEEP}")
    program = int(file(runtime, name, "pid"))
    shutil.rmtree(tmp_path / "run" / name)
    wait_for(lambda: None if is_alive(program) else True)


def test_a_program_whose_folder_was_moved_lives_on(runtime: ProcessRuntime, tmp_path: Path) -> None:
    file(runtime, run(runtime, SLEEP), "ready")
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = ProcessRuntime(runtime._project_name, tmp_path / "moved", tmp_path / "images")
    time.sleep(LOOK_EVERY_SECONDS + 0.2)
    assert [c.state for c in moved.containers()] == [ContainerState.RUNNING]
    moved.remove("job")
    assert moved.containers() == ()
    assert list((tmp_path / "moved").iterdir()) == []


@needs_proc
def test_memory_above_the_limit_ends_the_program(runtime: ProcessRuntime) -> None:
    name = run(runtime, f"held = b'x' * 200_000_000; {SLEEP}", memory=100 * 2**20)
    assert ended(runtime, name).exit_code == 137
    assert "the limit is 100 MiB" in list(runtime.logs(name))[-1]


@needs_proc
def test_reserved_memory_is_not_used_memory(runtime: ProcessRuntime) -> None:
    script = "import mmap, time; held = mmap.mmap(-1, 10**9); time.sleep(1.3)"
    assert ended(runtime, run(runtime, script, memory=100 * 2**20)).exit_code == 0
