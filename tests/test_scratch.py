"""Folders of a process: gone with it, swept after a kill, and never while it lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
