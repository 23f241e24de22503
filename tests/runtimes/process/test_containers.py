"""Containers of the process runtime as folders: half made, half removed, of others, of other releases."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.runtimes.process.shim_record import record_line
from sagespec.state.observed import ContainerState, Exit
from tests.runtimes.process.probe import (
    a_launch,
    ended,
    file,
    run,
)


def test_half_a_container_is_none_and_is_completed_by_the_next_create(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "run" / "job" / "opt").mkdir(parents=True)
    assert runtime.containers() == ()
    runtime.create([a_launch()])
    assert [c.name for c in runtime.containers()] == ["job"]


def test_what_a_killed_removal_left_is_never_listed_and_swept(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "run" / "job").rename(tmp_path / "run" / ".gone-job-1")
    assert runtime.containers() == ()
    runtime.destroy()
    assert not (tmp_path / "run").exists()


def test_files_of_others_are_no_containers(runtime: ProcessRuntime, tmp_path: Path) -> None:
    for content in (b"{}", b"[]", b"\xff", b'{"launch": []}'):
        (tmp_path / "run" / "theirs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / "theirs" / "container.json").write_bytes(content)
        assert runtime.containers() == ()
    (tmp_path / "run" / "file").touch()
    assert runtime.inspect("file") is None


@pytest.mark.parametrize("name", ["container.json", "process", "note", "log"])
def test_a_program_that_put_a_fifo_in_place_of_our_files_holds_up_nobody(
    runtime: ProcessRuntime, tmp_path: Path, name: str
) -> None:
    run(runtime, "import os; os.kill(os.getpid(), 9)")
    ended(runtime, "job")
    folder = tmp_path / "run" / "job"
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert [c.name for c in runtime.containers()] == ([] if name == "container.json" else ["job"])
    assert list(runtime.logs("job")) == []


@pytest.mark.parametrize("put", ["os.mkfifo(path)", "path.mkdir()", "path.symlink_to(OUTSIDE)"])
def test_what_a_program_puts_in_place_of_our_files_while_it_runs_harms_nobody(
    runtime: ProcessRuntime, tmp_path: Path, put: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    script = f"""
import os, time
home = base.parent.parent
for path in [home / "log.1", home / "note", home / "terminated", home / "process", *home.glob("times.*")]:
    path.unlink(missing_ok=True)
    {put.replace("OUTSIDE", repr(str(outside)))}
for _ in range(30):
    os.write(1, b"x" * 999_999 + b"\\n")
(base / "printed").write_text("1")
time.sleep(600)
"""
    run(runtime, script)
    file(runtime, "job", "printed")
    assert list(runtime.timed_logs("job", follow=False, tail=1))
    began = time.monotonic()
    runtime.stop("job", grace_seconds=5)
    runtime.remove("job")
    assert time.monotonic() - began < 4
    assert outside.read_text() == "as it was"


def test_no_link_on_the_way_to_a_file_is_followed(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "failure").write_text("a secret")
    run(runtime, f"(base / 'output').symlink_to({str(tmp_path / 'outside')!r})")
    ended(runtime, "job")
    assert runtime.read("job", "output/failure") is None


def test_what_is_written_follows_no_link_that_the_program_left(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("as it was")
    run(runtime, f"(base / '.note.tmp').symlink_to({str(tmp_path / 'outside')!r})")
    ended(runtime, "job")
    runtime.write("job", {"note": b"ours"})
    assert runtime.read("job", "note") == b"ours"
    assert (tmp_path / "outside").read_text() == "as it was"


def test_what_a_newer_release_created_is_still_found(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    record = tmp_path / "run" / "job" / "container.json"
    fields = json.loads(record.read_text())
    record.write_text(json.dumps({**fields, "new": 1, "launch": {**fields["launch"], "newer": 2}}))
    assert [c.name for c in runtime.containers()] == ["job"]


def test_what_the_supervisor_of_an_earlier_release_wrote_is_understood(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    record = tmp_path / "run" / "job" / "process"
    for code, exit_code in (("3", 3), ("-", 137)):
        record.write_text(f"{1:>10} {1700000000.0:>17.6f} {code:>4}\n")
        container = runtime.inspect("job")
        assert container
        assert (container.state, container.exit_code, container.restarts) == (ContainerState.EXITED, exit_code, 0)
        assert container.last_exit == Exit(exit_code)


def test_listing_a_thousand_containers_is_cheap(runtime: ProcessRuntime, tmp_path: Path) -> None:
    many = ProcessRuntime("many", tmp_path / "many", tmp_path / "images")
    many.create([a_launch("0")])
    record = (tmp_path / "many" / "0" / "container.json").read_bytes()
    for number in range(1000):
        folder = tmp_path / "many" / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "container.json").write_bytes(record)
        (folder / "process").write_bytes(record_line(1, time.time(), 0))
    began = time.process_time()
    assert len(ProcessRuntime("many", tmp_path / "many", tmp_path / "images").containers()) == 1000
    assert time.process_time() - began < 1.0
