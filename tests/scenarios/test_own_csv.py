"""A user's own CSV, from the first try to an answer: examples/loans, and the mistakes on the way to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping

import pandas
import pytest

from tests.scenarios.workspace import REPOSITORY, Workspace

EXAMPLE = REPOSITORY / "examples" / "loans"
JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: loans
version: 1
algorithm: xgboost
hyperparameters: {objective: "binary:logistic", num_round: 3}
channels:
  train: {source: ../data/loans.csv%s}
"""
as_a_process = pytest.mark.parametrize("workspace", ["process"], indirect=True)


@pytest.fixture
def loans(workspace: Workspace) -> Workspace:
    """The example in the workspace, with its data."""
    shutil.copytree(EXAMPLE / "specs", workspace.root / "specs", dirs_exist_ok=True)
    shutil.copy(EXAMPLE / "make_data.py", workspace.root)
    subprocess.run([sys.executable, "make_data.py"], cwd=workspace.root, check=True)
    return workspace


@as_a_process
def test_a_file_as_it_comes_is_learned_from_and_asked_by_its_names(loans: Workspace) -> None:
    loans.run("apply")
    metrics = {job["address"]: job["metrics"] for job in loans.json("status")["jobs"]}
    assert metrics["job/loans-boosted@1"]["validation:auc"] > 0.85
    assert metrics["job/loans-linear@1"]["validation:roc_auc_score"] > 0.85
    assert metrics["job/loans-boosted@2"]["train:auc"] > metrics["job/loans-boosted@1"]["train:auc"]

    def answer(body: object, variant: str, content_type: str = "application/json") -> Mapping[str, object]:
        text = body if isinstance(body, str) else json.dumps(body)
        status, said, _ = loans.invoke("loans", text, variant, content_type=content_type, accept="application/json")
        assert status == 200, said
        first: Mapping[str, object] = json.loads(said)["predictions"][0]
        return first

    lines = (loans.root / "data/loans.csv").read_text().splitlines()[:2]
    names, fields = (line.split(",") for line in lines)
    loan = dict(zip(names, fields, strict=True))
    assert loan["defaulted"] == "yes"
    features = [name for name in names if name not in ("loan_id", "issued_on", "defaulted")]
    for variant in ("boosted", "linear"):
        by_name = answer({"instances": [loan]}, variant)
        assert float(str(by_name["score"])) > 0.5
        assert answer("\n".join(lines), variant, "text/csv") == by_name
        assert answer(",".join(loan[name] for name in features), variant, "text/csv") == by_name
        assert answer({"dataframe_split": {"columns": names[::-1], "data": [fields[::-1]]}}, variant) == by_name
        unseen = {"instances": [loan | {"purpose": "boat", "income": None}]}
        assert answer(unseen, variant)["score"] != by_name["score"]
    assert answer({"instances": [loan]}, "linear")["predicted_label"] == "yes"
    frame = pandas.read_csv(loans.root / "data/loans.csv", nrows=1)
    with loans.project() as project:
        for rows in (frame, frame[frame.columns[::-1]], [loan]):
            for kind in (None, "application/json"):
                asked = project.invoke("loans/linear", rows, content_type=kind, accept="application/json")
                assert asked.json()["predictions"][0] == by_name
                assert asked.frame()["predicted_label"].tolist() == ["yes"]
    status, said, _ = loans.invoke("loans", '{"instances": [{"incom": 5}]}', "linear", content_type="application/json")
    assert (status, "did you mean 'income'?" in said) == (424, True)


@as_a_process
def test_each_mistake_on_the_way_says_the_next_step(loans: Workspace) -> None:
    shutil.rmtree(loans.root / "specs")
    (loans.root / "specs").mkdir()
    steps = [
        ("", "target: "),
        (", target: default", "did you mean 'defaulted'?"),
        (", target: defaulted", "categorical: [purpose, home_ownership, state], drop: [loan_id, issued_on]"),
    ]
    for columns, said in steps:
        loans.write(JOB % columns)
        assert said in loans.run("apply", code=1).stdout
    loans.write(JOB % f", target: defaulted, {steps[-1][1]}")
    loans.run("apply")
    assert loans.json("status")["jobs"][0]["metrics"]["train:logloss"] < 0.69
