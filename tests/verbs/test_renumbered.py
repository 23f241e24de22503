"""What names the spec of a job follows it to its next version, in every environment; else nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.project import Project

SPECS = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1
algorithm: xgboost
hyperparameters: {objective: "reg:squarederror", num_round: 40}
channels: {train: ../data}
---
apiVersion: sagespec/v1
kind: TrainingJob
name: quick
version: 7
like: churn@1   # but
hyperparameters: {num_round: 4}
"""
PROD = """\
apiVersion: sagespec/v1
kind: Environment
name: prod
patches:
  "job/churn@1": {resources: {cpus: 1}}   # small machines
leave_out: [job/quick@7]
"""
BARE = "apiVersion: sagespec/v1\nkind: Environment\nname: staging\nleave_out: ['job/churn@1', job/quick@7]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: acme\n")
    for folder in ("specs", "environments", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "specs" / "churn.yaml").write_text(SPECS)
    (tmp_path / "environments" / "prod.yaml").write_text(PROD)
    (tmp_path / "data" / "a.csv").write_text("1,2\n")
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for folder in ("specs", "environments") for file in (root / folder).iterdir()}


def test_likes_and_patches_follow_the_version(root: Path) -> None:
    (root / "environments" / "staging.yaml").write_text(BARE)
    written = Project(root).bump("churn")
    assert (root / "specs" / "churn.yaml").read_text() == SPECS.replace("version: 1\n", "version: 2\n").replace(
        "like: churn@1 ", "like: churn@2 "
    )
    assert (root / "environments" / "prod.yaml").read_text() == PROD.replace("churn@1", "churn@2")
    assert (root / "environments" / "staging.yaml").read_text() == BARE.replace("churn@1", "churn@2")
    assert [str(one) for one in written.settings] == [
        "version 1 -> 2",
        "like of job/quick@7 churn@1 -> churn@2",
        "patches of environment prod job/churn@1 -> job/churn@2",
        "leave_out of environment staging job/churn@1 -> job/churn@2",
    ]
    for environment in ("", "prod", "staging"):
        Project(root, environment=environment).parts.load()


def test_the_job_that_is_like_another_is_raised_alone(root: Path) -> None:
    Project(root).bump("quick", {"hyperparameters.num_round": "5"})
    assert (
        "version: 8\nlike: churn@1   # but\nhyperparameters: {num_round: 5}"
        in (root / "specs" / "churn.yaml").read_text()
    )
    assert "leave_out: [job/quick@8]" in (root / "environments" / "prod.yaml").read_text()


def test_a_change_that_would_change_another_job_is_refused(root: Path) -> None:
    before = files(root)
    with pytest.raises(SpecError) as refused:
        Project(root).bump("churn", {"hyperparameters.num_round": "50"})
    (problem,) = refused.value.problems
    assert problem.what == "job/quick@7 is like churn@1, and would change with it"
    assert str(problem.where) == "specs/churn.yaml:13:7"
    assert files(root) == before


def test_what_would_be_wrong_in_another_environment_is_not_written(root: Path) -> None:
    prod = root / "environments" / "prod.yaml"
    prod.write_text(PROD.replace("{resources: {cpus: 1}}", "{hyperparameters: {max_depth: null}}"))
    specs = root / "specs" / "churn.yaml"
    specs.write_text(SPECS.replace("num_round: 40}", "num_round: 40, max_depth: 3}").split("---")[0])
    prod.write_text(prod.read_text().split("leave_out")[0])
    before = files(root)
    with pytest.raises(SpecError) as refused:
        Project(root).bump("churn", {"hyperparameters": "{objective: 'reg:squarederror', num_round: 5}"})
    assert "environments/prod.yaml:5" in str(refused.value)
    assert files(root) == before


def test_what_an_environment_serves_instead_is_said(root: Path) -> None:
    for name in ("churn", "other"):
        (root / "specs" / f"{name}-endpoint.yaml").write_text(
            f"apiVersion: sagespec/v1\nkind: Endpoint\nname: {name}\nvariants:\n  - {{name: main, model: churn@1}}\n"
        )
    prod = root / "environments" / "prod.yaml"
    prod.write_text(PROD.replace("patches:\n", "patches:\n  endpoint/churn: {variants: {main: {model: quick@7}}}\n"))
    with pytest.raises(SpecError, match="the environment prod says something else"):
        Project(root, environment="prod").assign_model("churn@1", "churn/main")
    with pytest.raises(SpecError, match="has churn@1 already"):
        Project(root, environment="prod").assign_model("churn@1", "other/main")
