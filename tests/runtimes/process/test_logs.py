"""The log of a local process: bounded, followed, with its times."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.process.shim_log import LOG_BYTES
from tests.runtimes.process.probe import (
    a_launch,
    ended,
    run,
    wait_for,
)


def test_the_log_is_bounded_and_keeps_the_end(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = """
for block in range(50):
    print("\\n".join(f"{line:>99}" for line in range(block * 6000, (block + 1) * 6000)))
"""
    name = run(runtime, script)
    ended(runtime, name)
    sizes = [path.stat().st_size for path in (tmp_path / "run" / name).glob("log*")]
    assert len(sizes) == 2
    assert max(sizes) <= LOG_BYTES + 2**16
    first, *rest = runtime.logs(name)
    kept = [int(line) for line in rest]
    assert first == f"sagespec: {kept[0]} lines were printed here that are no longer kept"
    assert kept[-1] == 299_999
    assert kept == list(range(kept[0], 300_000))
    assert [int(line) for line in runtime.logs(name, tail=150_000)] == list(range(150_000, 300_000))


def test_following_goes_on_over_a_rotation(runtime: ProcessRuntime) -> None:
    script = """
import time
for number in range(12):
    print(number, "x" * 2**20)
    time.sleep(0.06)
"""
    name = run(runtime, script)
    assert [line.split()[0] for line in runtime.logs(name, follow=True)] == [str(number) for number in range(12)]


def test_times_are_right_over_a_rotation_and_another_start(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = """
import time
for number in range(6):
    print("\\n".join([f"{time.time()} " + "x" * 999] * 3000))
    time.sleep(0.25)
"""
    name = run(runtime, script)
    ended(runtime, name)
    runtime.start(name)  # goes on with the log there is
    ended(runtime, name)
    gone, *timed = runtime.timed_logs(name)
    assert gone[1] == f"sagespec: {2 * 18_000 - len(timed)} lines were printed here that are no longer kept"
    assert len(timed) > 10_000
    assert [at for at, _ in timed] == pytest.approx([float(line.split()[0]) for _, line in timed], abs=1)
    assert gone[0] <= timed[0][0]
    assert list(runtime.logs(name)) == [line for _, line in (gone, *timed)]
    folder = tmp_path / "run" / name
    logs = {f"times.{file.stat().st_ino}" for file in folder.glob("log*")}
    assert {file.name for file in folder.glob("times.*")} == logs, "none is left of the logs that are gone"


def test_a_line_without_a_noted_time_is_not_newer_than_its_log(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = run(runtime, "print('one')")
    ended(runtime, name)
    folder = tmp_path / "run" / name
    for notes in folder.glob("times.*"):  # as a shim of an earlier release, or a full disk, leaves it
        notes.unlink()
    assert list(runtime.timed_logs(name)) == [((folder / "log").stat().st_mtime, "one")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_on_a_full_disk_the_program_goes_on_and_its_exit_code_is_known(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    runtime.write("job", {"script.py": b"print('lost', flush=True); raise SystemExit(3)"})
    (tmp_path / "run" / "job" / "log").symlink_to("/dev/full")
    runtime.start("job")
    assert ended(runtime, "job").exit_code == 3


FLOOD = "for number in range(400_000): print(f'{number:>99}')"  # four times what is kept


def test_a_job_waits_for_its_follower_and_loses_no_line(runtime: ProcessRuntime) -> None:
    name = run(runtime, FLOOD)
    for number, line in enumerate(runtime.logs(name, follow=True)):
        assert int(line) == number
        if number % 20_000 == 0:
            time.sleep(0.05)  # slower than the program
    assert number == 399_999


def test_a_server_waits_for_no_follower_and_the_lines_that_are_lost_are_counted(runtime: ProcessRuntime) -> None:
    name = run(runtime, f"{FLOOD}\n(base / 'printed').touch()\nimport time; time.sleep(600)", keep_running=True)
    lines = runtime.logs(name, follow=True)
    seen = [next(lines)]
    wait_for(lambda: None if runtime.read(name, "printed") is None else True)
    while not seen[-1].endswith("399999"):
        seen.append(next(lines))
    gone = [int(line.split()[1]) for line in seen if line.startswith("sagespec: ")]
    assert gone
    assert sum(gone) + len(seen) - len(gone) == 400_000


def test_a_follower_that_was_killed_holds_up_nobody(runtime: ProcessRuntime) -> None:
    name = run(runtime, FLOOD)
    lines = runtime.logs(name, follow=True)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    assert ended(runtime, name).exit_code == 0


def test_a_progress_bar_is_seen_once_a_second_while_it_runs(runtime: ProcessRuntime) -> None:
    script = """
import os, time
os.write(2, b"quick: 1%\\rquick: 100%\\n")
for step in range(24):
    os.write(2, b"\\r%d of 24" % step)
    time.sleep(0.1)
os.write(2, b"\\r\\n")
os.write(1, b"end"); time.sleep(1.1); os.write(1, b"ed\\r"); time.sleep(0.1); os.write(1, b"\\nno newline")
"""
    quick, *bar, ended, rest = runtime.logs(run(runtime, script), follow=True)
    assert [quick, ended, rest] == ["quick: 1%\rquick: 100%", "ended", "no newline"]
    assert 3 <= len(bar) <= 8, "about one a second, on a slow machine too"
    assert "".join(bar).replace("\r", "") == "".join(f"{step} of 24" for step in range(24))
