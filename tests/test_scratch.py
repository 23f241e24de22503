"""Folders of a process: gone with it, swept after a kill, and never while it lives."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sagespec.scratch import own_folder, sweep

HOLD = """
import sys, time
from pathlib import Path
from sagespec.scratch import own_folder

with own_folder(Path(sys.argv[1])) as folder:
    (folder / "model").mkdir()
    (folder / "model" / "model.bin").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_lasts_as_long_as_its_block(tmp_path: Path) -> None:
    with own_folder(tmp_path / "tmp") as one, own_folder(tmp_path / "tmp") as other:
        assert one != other
        (one / "file").write_text("x")
        sweep(tmp_path / "tmp")
        assert (one / "file").exists()
        assert other.is_dir()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("module", "step"), [(tempfile, "mkdtemp"), (os, "open")], ids=["before it is opened", "before it is locked"]
)
def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str
) -> None:
    do = getattr(module, step)

    def do_and_sweep(*args: Any, **options: Any) -> object:
        done = do(*args, **options)
        monkeypatch.setattr(module, step, do)
        sweep(tmp_path)
        return done

    monkeypatch.setattr(module, step, do_and_sweep)
    with own_folder(tmp_path) as folder:
        assert folder.is_dir()
        sweep(tmp_path)
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_processes_folder_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            folder = Path(process.stdout.readline().strip())
            sweep(tmp_path)
            assert (folder / "model" / "model.bin").exists(), "it lives"
        finally:
            process.kill()
        process.wait()
        assert folder.is_dir()
        sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_of_a_process_is_no_obstacle(tmp_path: Path) -> None:
    sweep(tmp_path / "not there")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    sweep(tmp_path)
    assert (tmp_path / "file").exists()
