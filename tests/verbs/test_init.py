"""`sagespec init` writes a project that loads as it stands, and never writes over anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sagespec.errors import WorldError
from sagespec.load.load import find_root, load
from sagespec.load.references import unresolved_models
from sagespec.verbs.init import files, init, project_name


def test_a_new_project_loads_with_its_data_in_place(tmp_path: Path) -> None:
    written = init(tmp_path)
    loaded = load([Path("specs")], find_root(tmp_path))
    assert [str(item.address) for item in loaded.specs] == ["job/churn@1", "endpoint/churn"]
    assert not unresolved_models(loaded)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in written) == [
        ".gitignore",
        "data/churn/train.csv",
        "data/churn/validation.csv",
        "sagespec.schema.json",
        "sagespec.yaml",
        "specs/churn.yaml",
    ]


def test_editors_find_the_schema_and_it_accepts_the_specs(tmp_path: Path) -> None:
    init(tmp_path)
    for file in (tmp_path / "sagespec.yaml", tmp_path / "specs" / "churn.yaml"):
        modeline, *_ = file.read_text().splitlines()
        schema = file.parent / modeline.partition("$schema=")[2]
        validator = Draft202012Validator(json.loads(schema.read_text()))
        assert all(validator.is_valid(document) for document in yaml.safe_load_all(file.read_text()))


def test_an_example_that_was_deleted_is_not_written_back(tmp_path: Path) -> None:
    init(tmp_path)
    (tmp_path / "specs" / "churn.yaml").unlink()
    (tmp_path / "data" / "churn" / "train.csv").unlink()
    (tmp_path / "sagespec.schema.json").unlink()
    assert init(tmp_path) == [tmp_path / "sagespec.schema.json"]


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert init(tmp_path) == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sagespec.yaml").write_text("mine")
    assert tmp_path / "sagespec.yaml" not in init(tmp_path)
    assert (tmp_path / "sagespec.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ".sagespec/\n"),
        ("*.pyc", "*.pyc\n.sagespec/\n"),
        ("*.pyc\n", "*.pyc\n.sagespec/\n"),
        ("/.sagespec/\n", "/.sagespec/\n"),
        (".sagespec", ".sagespec"),
    ],
)
def test_gitignore_gets_its_line_once(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / ".gitignore").write_text(before)
    init(tmp_path)
    init(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == after


def test_the_data_is_the_same_everywhere(tmp_path: Path) -> None:
    texts = [text for path, text in files(tmp_path).items() if path.suffix == ".csv"]
    assert [hashlib.sha256(text.encode()).hexdigest()[:12] for text in texts] == ["4684ee831d4c", "f1637b4838c4"]
    rows = [line.split(",") for line in texts[0].splitlines()]
    leaving = sum(row[0] == "1" for row in rows)
    assert len(rows) == 600
    assert 100 < leaving < 300


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("churn", "churn"),
        ("My model_v2", "My-model-v2"),
        ("_", "my-project"),
        ("2024", "2024"),
        ("no", "no"),
        ("x" * 80, "x" * 63),
    ],
)
def test_the_project_is_named_after_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir()
    assert project_name(tmp_path / folder) == name
    init(tmp_path / folder)
    assert load([], tmp_path / folder).project.name == name


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "specs").write_text("a file where a folder has to be")
    with pytest.raises(WorldError, match="cannot write"):
        init(tmp_path)
