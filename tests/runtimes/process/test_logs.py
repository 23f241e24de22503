"""The log of a local process: bounded, followed, with its times."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.process.shim_log import LOG_BYTES
from tests.runtimes.process.probe import (
    a_launch,
    ended,
    run,
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
    kept = [int(line) for line in runtime.logs(name)]
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
    timed = list(runtime.timed_logs(name))
    assert len(timed) > 10_000
    assert [at for at, _ in timed] == pytest.approx([float(line.split()[0]) for _, line in timed], abs=0.2)
    assert list(runtime.logs(name)) == [line for _, line in timed]
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
