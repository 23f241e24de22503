"""What is no program is refused in a moment: FIFOs, links that lead back, the whole disk."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.sources.build import BuildFolder
from sagespec.sources.code import MAX_BYTES, copy_code, counted
from sagespec.sources.files import STORE_LOCK, files_of
from sagespec.stores.open import open_store


def refusal(source: Path, *, for_build: bool = False) -> str:
    with pytest.raises(WorldError) as caught:
        BuildFolder(source).hash() if for_build else counted(source)
    return caught.value.problems[0].what


@pytest.mark.parametrize("for_build", [False, True])
def test_a_fifo_a_socket_and_a_device_are_refused_by_name(tmp_path: Path, for_build: bool) -> None:
    for name in ("fifo", "socket", "device"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "fifo" / "it")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket" / "it"))
    assert refusal(tmp_path / "fifo", for_build=for_build) == f"{tmp_path}/fifo/it is a FIFO"
    assert refusal(tmp_path / "socket", for_build=for_build) == f"{tmp_path}/socket/it is a socket"
    assert refusal(Path("/dev/zero")) == "/dev/zero is a device"
    (tmp_path / "device" / "it").symlink_to("/dev/zero")
    assert refusal(tmp_path / "device") == f"{tmp_path}/device/it is a device"


def test_links_that_lead_back_are_refused_by_name_at_once(tmp_path: Path) -> None:
    """However many there are: each doubled the time."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").touch()
    for number in range(20):
        (tmp_path / "sub" / f"loop{number}").symlink_to("..")
    assert refusal(tmp_path) == f"{tmp_path}/sub/loop0 is a link to a folder that contains it"
    with pytest.raises(WorldError, match="sub/loop0 is a link to a folder that contains it"):
        copy_code(tmp_path, tmp_path.parent)


def test_one_folder_may_be_linked_twice(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.py").write_text("a")
    (tmp_path / "src").mkdir()
    for name in ("one", "two"):
        (tmp_path / "src" / name).symlink_to("../shared")
    assert set(counted(tmp_path / "src").files) == {"one/a.py", "two/a.py"}
    (tmp_path / "copy").mkdir()
    copy_code(tmp_path / "src", tmp_path / "copy")
    assert list(files_of(tmp_path / "copy")) == ["one/a.py", "two/a.py"]


def test_the_whole_disk_and_what_is_too_large_are_refused_before_they_are_read(tmp_path: Path) -> None:
    assert refusal(Path("/")) == "/ is the whole disk, not the folder of a program"
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert refusal(tmp_path) == f"{tmp_path} has more than 2 GiB"
    (tmp_path / "sparse").unlink()
    (tmp_path / "many").mkdir()
    (tmp_path / "src").mkdir()
    for number in range(400):
        (tmp_path / "many" / str(number)).touch()
        (tmp_path / "src" / str(number)).symlink_to("../many")
    assert refusal(tmp_path / "src") == f"{tmp_path}/src has more than 100,000 files"


def test_what_sagespec_keeps_in_the_folder_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    before, build = counted(tmp_path), BuildFolder(tmp_path).hash()
    (tmp_path / ".sagespec" / "tmp").mkdir(parents=True)
    (tmp_path / ".sagespec" / "tmp" / "scratch").touch()
    store = open_store("state/kept", root=tmp_path)
    store.write("project/manifest.json", b"1")
    assert counted(tmp_path) == before
    assert BuildFolder(tmp_path).hash() == build
    (tmp_path / "linked").symlink_to("state/kept")
    assert counted(tmp_path) == before
    (tmp_path / "state" / "kept" / STORE_LOCK).unlink()
    assert counted(tmp_path) != before, "a folder of the user"


@pytest.mark.parametrize("target", ["nowhere.py", "me"])
def test_a_link_to_nothing_is_refused_by_its_own_name(target: str, tmp_path: Path) -> None:
    (tmp_path / "me").symlink_to(target)
    assert refusal(tmp_path) == f"{tmp_path}/me is a link to {target}, which does not exist"


def test_folders_as_deep_as_a_disk_takes_them_end_in_no_traceback(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(350):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        assert counted(tmp_path).files == {}
    finally:
        sys.setrecursionlimit(limit)
