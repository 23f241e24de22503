"""The schema for editors agrees with the loader, and the reference page with the models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sagespec.errors import SpecError
from sagespec.load.load import load
from sagespec.load.source import load_source
from sagespec.spec.kinds import KINDS
from sagespec.spec.schema import DOCUMENTS, EXAMPLES, json_schema, reference
from sagespec.verbs.schema import schema_text
from tests.mutations import TREES

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(schema_text())
HEAD = "apiVersion: sagespec/v1\n"
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_an_editor_knows_the_names_of_what_is_built_in() -> None:
    assert not VALIDATOR.is_valid(_changed(0, algorithm="xgbost"))
    known = {
        rule["if"]["properties"]["algorithm"]["const"]: rule["then"] for rule in SCHEMA["$defs"]["TrainingJob"]["allOf"]
    }
    described = known["xgboost"]["properties"]["hyperparameters"]["properties"]
    assert described["num_round"]["description"] == "Number of boosting rounds"
    assert "binary:logistic" in described["objective"]["examples"]
    assert {"pytorch", "sklearn", "xgboost"} < set(SCHEMA["$defs"]["TrainingJob"]["properties"]["framework"]["enum"])


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_examples_of_the_reference_are_valid(kind: str, tmp_path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(EXAMPLES[kind]))
    (tmp_path / "sagespec.yaml").write_text(EXAMPLES["Project"])
    (tmp_path / "environments").mkdir()
    for name in ("prod", "staging"):
        (tmp_path / "environments" / f"{name}.yaml").write_text(f"{HEAD}kind: Environment\nname: {name}\n")
    if kind == "Environment":
        (tmp_path / "environments" / "prod.yaml").write_text(EXAMPLES[kind])
    (tmp_path / "spec.yaml").write_text(EXAMPLES["Endpoint" if kind in ("Project", "Environment") else kind])
    load([Path("spec.yaml")], tmp_path, environment="prod")


@pytest.mark.parametrize("file", [*ROOT.glob("specs/*.yaml"), ROOT / "sagespec.yaml"], ids=lambda file: file.name)
def test_this_repositorys_specs_are_valid(file: Path) -> None:
    for document in yaml.safe_load_all(file.read_text()):
        VALIDATOR.validate(document)


def test_the_example_of_a_source_is_valid(tmp_path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(EXAMPLES["Source"]))
    (tmp_path / "source.yaml").write_text(EXAMPLES["Source"])
    assert load_source(tmp_path / "source.yaml").environment == "prod"


def test_a_source_among_the_specs_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "sagespec.yaml").write_text(EXAMPLES["Project"])
    (tmp_path / "source.yaml").write_text(EXAMPLES["Source"])
    with pytest.raises(SpecError, match="move it out of the repository"):
        load([Path("source.yaml")], tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": None},
        {"interval": "5 minutes"},
        {"verify": {"mode": "head"}},
        {"report": {"github": {"token": "in clear"}}},
        {"approve": {"ask": ["everything"]}},
        {"allow": {"images": "all"}},
    ],
    ids=str,
)
def test_an_editor_marks_what_is_wrong_in_a_source(fields: dict[str, Any], tmp_path: Path) -> None:
    document = yaml.safe_load(EXAMPLES["Source"]) | fields
    assert not VALIDATOR.is_valid(document)
    (tmp_path / "source.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(SpecError):
        load_source(tmp_path / "source.yaml")


@pytest.mark.parametrize("kind", list(DOCUMENTS))
def test_an_error_names_the_field_not_the_three_kinds(kind: str) -> None:
    document = yaml.safe_load(EXAMPLES[kind]) | {"colour": "blue"}
    (error,) = VALIDATOR.iter_errors(document)
    assert "'colour' was unexpected" in error.message


def _changed(number: int, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (TREES[number] | changes).items() if value != "dropped"}


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        _changed(0, kind="trainingJob"),
        _changed(0, apiVersion="v1"),
        _changed(0, version="3"),
        _changed(0, version=0),
        _changed(0, name="a_b"),
        _changed(0, image="acme/train:1"),
        _changed(0, algorithm="dropped"),
        _changed(0, channels={"my channel": "x"}),
        _changed(0, channels={"train": 3}),
        _changed(0, environment={"MY-NAME": "x"}),
        _changed(0, environment={"A": 1.5}),
        _changed(0, stopping={"max_runtime": "5 minutes"}),
        _changed(0, resources={"memory": "2gb"}),
        _changed(1, variants=[]),
        _changed(1, variants=[{"name": "a", "model": "churn"}]),
        _changed(1, variants=[{"name": "a", "model": "churn@1", "algorithm": "xgboost"}]),
        _changed(1, variants=[{"name": "a", "model": "s3://acme/model.tar.gz"}]),
        _changed(1, rollout={"replace": "never"}),
    ],
    ids=str,
)
def test_an_editor_marks_what_the_loader_refuses(document: Any) -> None:
    assert not VALIDATOR.is_valid(document)


LIKE = {"apiVersion": "sagespec/v1", "kind": "TrainingJob", "name": "churn", "version": 4, "like": "churn@3"}


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"hyperparameters": {"eta": 0.1, "num_round": None}, "resources": None}, True),
        ({"channels": {"train": {"content_type": "text/csv"}, "validation": None}}, True),
        ({"algorithm": None, "image": "mine:1"}, True),
        ({"hyperparameters": 3}, False),
        ({"channels": {"train": {"contenttype": "text/csv"}}}, False),
        ({"version": None}, False),
        ({"colour": "blue"}, False),
    ],
)
def test_a_job_that_is_like_another_need_not_be_whole(fields: dict[str, Any], *, fits: bool) -> None:
    assert VALIDATOR.is_valid(LIKE | fields) == fits


def test_a_job_that_is_like_none_is_whole() -> None:
    assert not VALIDATOR.is_valid(LIKE | {"like": None})


def test_what_may_be_left_empty_may_be_null() -> None:
    assert VALIDATOR.is_valid(_changed(0, image=None))
    assert VALIDATOR.is_valid(_changed(0, algorithm=None, image="acme/train:1"))


def test_check_jsonschema_accepts_schema_and_specs(tmp_path: Path) -> None:
    schema, file = tmp_path / "schema.json", tmp_path / "spec.json"
    schema.write_text(schema_text())
    file.write_text(json.dumps(TREES[0]))
    command = [sys.executable, "-m", "check_jsonschema"]
    subprocess.run([*command, "--check-metaschema", str(schema)], check=True, capture_output=True)
    subprocess.run([*command, "--schemafile", str(schema), str(file)], check=True, capture_output=True)


def test_the_reference_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "spec.md").read_text() == reference(), "run `make docs`"


def test_the_schema_in_docs_is_up_to_date() -> None:
    file = ROOT / "docs" / "schema.json"
    if not file.exists():
        pytest.skip("docs/schema.json has not been written")
    assert file.read_text() == schema_text(), "run `sagespec schema > docs/schema.json`"


def test_the_reference_names_every_field() -> None:
    page = reference()
    for definition in json_schema()["$defs"].values():
        for name in definition["properties"]:
            assert name in ("apiVersion", "kind") or f"| `{name}` |" in page
