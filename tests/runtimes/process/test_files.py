"""Files in and out of a local process's folder, and what the disk refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import InternalError, WorldError
from sagespec.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.process.probe import (
    a_launch,
    ended,
    run,
)


def test_a_link_into_its_own_folder_and_a_broken_link_are_errors(runtime: ProcessRuntime, tmp_path: Path) -> None:
    runtime.create([a_launch()])
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "again").symlink_to(tmp_path / "loop")
    with pytest.raises(WorldError, match="is a link to a folder that contains it"):
        runtime.put("job", "input", tmp_path / "loop")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(WorldError, match="link"):
        runtime.put("job", "input", tmp_path / "broken")


def test_no_path_leads_out_of_a_container(runtime: ProcessRuntime) -> None:
    runtime.create([a_launch()])
    with pytest.raises(InternalError):
        runtime.write("job", {"input/../../x": b""})


def test_folders_without_write_permission_are_removed_too(runtime: ProcessRuntime, tmp_path: Path) -> None:
    name = run(
        runtime, "(base / 'a' / 'b').mkdir(parents=True); (base / 'a' / 'b').chmod(0); (base / 'a').chmod(0o500)"
    )
    ended(runtime, name)
    runtime.remove(name)
    assert list((tmp_path / "run").iterdir()) == []


def test_what_the_disk_refuses_is_told_with_the_path(tmp_path: Path, runtime: ProcessRuntime) -> None:
    (tmp_path / "file").touch()
    misplaced = ProcessRuntime("p", tmp_path / "file" / "run", tmp_path / "images")
    with pytest.raises(WorldError, match=r"cannot create containers in .*file/run: not a directory"):
        misplaced.create([a_launch()])
