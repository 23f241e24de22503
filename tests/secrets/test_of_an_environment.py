"""An environment says where its secrets are kept: what it has under `secrets` is put over those of sagespec.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.load.load import load
from sagespec.spec.secrets import SecretSource

PROJECT = """\
apiVersion: sagespec/v1
kind: Project
name: acme
secrets:
  churn-db: env:CHURN_DB
  smtp: {command: [pass, show, smtp]}
"""
PROD = """\
apiVersion: sagespec/v1
kind: Environment
name: prod
secrets:
  churn-db: aws:acme/churn/prod#url
  api: ssm:/acme/api
"""


def written(root: Path, prod: str = PROD) -> Path:
    (root / "environments").mkdir()
    (root / "specs").mkdir()
    (root / "sagespec.yaml").write_text(PROJECT)
    (root / "environments" / "prod.yaml").write_text(prod)
    return root


def test_an_environment_puts_its_secrets_over_those_of_the_project(tmp_path: Path) -> None:
    root = written(tmp_path)
    assert load([root / "specs"], root, environment="prod").project.secrets == {
        "churn-db": SecretSource("aws", "acme/churn/prod", "url"),
        "smtp": SecretSource("command", command=("pass", "show", "smtp")),
        "api": SecretSource("ssm", "/acme/api"),
    }
    assert load([root / "specs"], root, environment="").project.secrets["churn-db"] == SecretSource("env", "CHURN_DB")


def test_a_secret_that_is_written_out_is_refused_at_its_place_and_not_repeated(tmp_path: Path) -> None:
    root = written(tmp_path, PROD.replace("ssm:/acme/api", "canary-0451"))
    with pytest.raises(SpecError) as error:
        load([root / "specs"], root, environment="prod")
    (problem,) = error.value.problems
    assert problem.where is not None
    assert (problem.where.file, problem.where.line) == ("environments/prod.yaml", 6)
    assert "the secret itself does not belong here" in problem.what
    assert "canary" not in str(problem)
