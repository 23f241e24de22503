"""Views of jobs, and the files by which engines are tested: what of them is swept."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from sagespec.inputs.views import WITNESS_SECONDS, empty_view, sweep, witness
from tests.fakes import FakeEngine, FakeRuntime


def test_the_witness_of_a_killed_process_is_swept_and_no_other(tmp_path: Path) -> None:
    runtime = FakeRuntime("churn", FakeEngine())
    with witness(tmp_path) as name:
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644, "a container reads it as another user"
        left = tmp_path / f"{name}-left"
        left.touch()
        age = left.stat().st_mtime - WITNESS_SECONDS - 1
        os.utime(left, (age, age))
        sweep(tmp_path, runtime, "churn")
        assert [path.name for path in tmp_path.iterdir()] == [name]
    assert list(tmp_path.iterdir()) == []


def test_a_view_is_made_while_another_run_sweeps_it(tmp_path: Path) -> None:
    view, has_ended = tmp_path / "views" / "sagespec_churn_job_x", threading.Event()

    def sweep_without_end() -> None:
        while not has_ended.is_set():
            shutil.rmtree(view, ignore_errors=True)

    sweeper = threading.Thread(target=sweep_without_end)
    sweeper.start()
    try:
        for _ in range(3000):
            with suppress(FileNotFoundError), empty_view(view):  # a real sweep would not remove what is locked
                pass
    finally:
        has_ended.set()
        sweeper.join()
