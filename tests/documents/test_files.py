from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.documents.files import MARK, is_ours, remove, write

TEXT = f"{MARK}.\nname: x\n"


def test_a_file_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text("name: theirs\n")
    with pytest.raises(FileExistsError):
        write(file, TEXT)
    assert not remove(file)
    assert file.read_text() == "name: theirs\n"


def test_a_file_of_ours_is_written_again_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "notebook" / "churn.yaml"
    write(file, TEXT)
    assert is_ours(file)
    write(file, f"{MARK}.\nname: y\n")
    assert file.read_text() == f"{MARK}.\nname: y\n"
    assert [path.name for path in file.parent.iterdir()] == ["churn.yaml"]
    assert remove(file)
    assert not file.exists()


def test_what_is_no_text_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.yaml").mkdir()
    assert not is_ours(tmp_path / "x.yaml")
    assert not is_ours(tmp_path / "folder.yaml")
    assert not is_ours(tmp_path / "none.yaml")
