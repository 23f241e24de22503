"""train, deploy, predict, split and roll back from Python: what a notebook does, and what is there afterwards."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sagespec
from sagespec import Job
from tests import built
from tests.scenarios.workspace import REPOSITORY, Workspace

PAGE = REPOSITORY / "docs" / "python.md"


def twelve_lines() -> str:
    """The first cell of docs/python.md, with fewer rounds."""
    code = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    assert code.count("train(") == 2
    return re.sub(r'"num_round": (\d)00', r'"num_round": \g<1>', code)


def customers(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    months = chance.integers(1, 72, rows)
    return pd.DataFrame(
        {
            "left": ((months < 30) & (chance.random(rows) < 0.9)).astype(int),
            "months": months,
            "bill": chance.normal(60, 10, rows).round(2),
            "plan": chance.choice(["basic", "family, large", 'the "best"'], rows),
            "yearly": chance.random(rows) < 0.4,
        }
    )


@pytest.fixture
def notebook(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A project whose folder is the working folder, as a notebook's is."""
    if workspace.runtime == "docker":
        built.ready("xgboost", "gateway")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"],
    ):
        (workspace.root / ".gitignore").write_text(".sagespec/\n")
        subprocess.run(["git", *command], cwd=workspace.root, check=True)
    monkeypatch.chdir(workspace.root)
    yield workspace
    projects_close(workspace.root)


def projects_close(root: Path) -> None:
    from sagespec.handles import projects

    if project := projects._open.pop(root.resolve(), None):
        project.close()


def new_files(workspace: Workspace) -> list[str]:
    said = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=workspace.root, check=True, capture_output=True, text=True
    ).stdout
    return sorted(line[3:] for line in said.splitlines())


def test_twelve_lines_train_serve_and_compare_and_again_nothing(notebook: Workspace) -> None:
    df = customers()
    customers(60, seed=1).to_csv(notebook.root / "data" / "validation.csv", index=False)
    code = twelve_lines()
    up_to_the_split, rollback = code.partition("churn.rollback()")[:2]
    cell = compile(up_to_the_split, "cell", "exec")
    found: dict[str, object] = {"df": df}
    exec(cell, found)
    job, churn, better = found["job"], found["churn"], found["better"]
    assert isinstance(job, Job)
    assert isinstance(better, Job)
    assert isinstance(churn, sagespec.Endpoint)
    assert (str(job), str(better), job.state) == ("churn@1", "churn@2", "trained")
    assert 0.7 < job.metrics["validation:auc"] <= 1.0

    containers = notebook.names()
    begun = time.monotonic()
    exec(cell, found)
    seconds = time.monotonic() - begun
    assert notebook.names() == containers, "nothing was started or replaced"
    assert (found["job"], found["better"]) == (job, better)
    assert seconds < 20, "the same cell again trains nothing"

    hashed = sorted(path.name for path in (notebook.root / "data" / "churn").iterdir())
    assert len(hashed) == 1
    assert new_files(notebook) == [
        f"data/churn/{hashed[0]}",
        "data/validation.csv",
        "specs/notebook/churn.yaml",
        "specs/notebook/endpoint-churn.yaml",
    ]
    notebook.run("validate")
    assert notebook.json("plan")["actions"] == []

    answer = churn.predict(df.drop(columns="left"))
    assert list(answer.columns) == ["score"]
    rows = df.drop(columns="left").head(3).to_csv(index=False)
    with notebook.project() as project:
        direct = project.invoke("churn", rows.encode(), variant="v1").body.decode().split()
    assert list(churn.predict(df.head(3), variant=job)["score"]) == pytest.approx([float(one) for one in direct])

    assert [(v.name, round(v.share_live, 2)) for v in churn.variants] == [("v1", 0.9), ("v2", 0.1)]
    exec(rollback, found)
    assert [variant.model for variant in churn.variants] == ["churn@1"]
    assert notebook.json("plan")["actions"] == [], "the spec was written back"
    churn.split({job: 50, better: 50})
    assert [round(v.share_live, 2) for v in churn.variants] == [0.5, 0.5], "what is asked for again is served again"

    said = subprocess.run(
        [sys.executable, "-c", "import sagespec; j = sagespec.job('churn@1'); print(j, j.state, j.metrics)"],
        cwd=notebook.root,
        env=notebook.env,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.startswith("churn@1 trained {'train:auc'"), "found after a restart of the kernel"
    churn.delete()
    assert not [name for name in notebook.names() if name.startswith("endpoint/")]
    assert not (notebook.root / "specs" / "notebook" / "endpoint-churn.yaml").exists()
