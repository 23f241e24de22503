"""The Python verbs in cells of a real kernel: curves while they wait, what they made, and an interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.project import Project
from tests.notebook.cells import Notebooks
from tests.notebook.overlay import make
from tests.ports import free_port
from tests.show.markup import rows_of, text_of, tree_of

pytestmark = [pytest.mark.jupyter, pytest.mark.slow]

FRAME = """\
import numpy as np, pandas as pd
from sagespec import deploy, endpoint, job, train
chance = np.random.default_rng(0)
df = pd.DataFrame({"months": chance.integers(1, 72, 200), "plan": chance.choice(["a", "<img onerror=x>"], 200)})
df["left"] = (df["months"] < 30).astype(int)
"""
TRAIN = """\
churn = train("churn", algorithm="xgboost", data={"train": df, "validation": df}, target="left",
              hyperparameters={"objective": "binary:logistic", "num_round": 20, "eval_metric": "auc"})
"""
BAD = """\
train("bad", algorithm="echo", data="data/train.csv", hyperparameters={"failure": "<b>no", "exit_code": 1})
"""
SLOW = """\
import _thread, threading
threading.Timer(4, _thread.interrupt_main).start()
slow = train("slow", algorithm="echo", data="data/train.csv", hyperparameters={"sleep": 20})
"""
HELD = """\
from sagespec.records.lock import project_lock
parts = slow.project.parts
with project_lock(parts.store, parts.settings.name, command="a long pass", wait_seconds=10):
    threading.Timer(2, _thread.interrupt_main).start()
    train("held", algorithm="echo", data="data/train.csv", hyperparameters={"words": "x"})
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("environment") / "python", "jupyter")


@pytest.fixture
def notebooks(tmp_path: Path, python: Path, project_name: str) -> Iterator[Notebooks]:
    project, scratch = tmp_path / "project", tmp_path / "scratch"
    for folder in (project / "data", scratch):
        folder.mkdir(parents=True)
    (project / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\nruntime: process\n"
        f"gateway: {{port: {free_port()}}}\n"
    )
    (project / "data" / "train.csv").write_text("1,0.5,0.25\n0,0.1,0.9\n")
    found = Notebooks(python, project, scratch)
    yield found
    found.check_nothing_left()
    with Project.open(project) as opened:
        opened.destroy(check=False)


def test_cells_train_with_curves_serve_and_show_what_they_made(notebooks: Notebooks) -> None:
    frame, trained, again, shown, served, answer, table, found = notebooks.run(
        [
            FRAME,
            TRAIN,
            TRAIN,
            "churn",
            "served = deploy(churn)",
            "served.predict(df.head(2))",
            "served",
            "job('churn@1') == churn and endpoint('churn') == served",
        ]
    )
    frame.check()
    trained.check()
    (live,) = trained.html
    assert text_of(live).startswith("done · ")
    assert len(list(tree_of(live).iter("path"))) == 2, "two curves"
    assert "validation-auc" in text_of(live)
    assert again.check() == ""
    assert again.html == (), "nothing happened"
    assert shown.check().startswith("Job(churn@1): trained, train:auc ")
    assert len(list(tree_of(shown.html[0]).iter("path"))) == 2
    served.check()
    assert text_of(served.html[0]).startswith("done · ")
    assert "score" in answer.check()
    assert table.check().startswith("Endpoint(churn): serving, v1 (churn@1) 100 %, http://127.0.0.1:")
    assert ["v1", "churn@1"] in [row[:2] for row in rows_of(table.html[0])]
    assert found.check() == "True"


def test_what_fails_is_said_in_a_few_lines_and_an_interrupt_says_how_to_continue(notebooks: Notebooks) -> None:
    _, wrong, failed, interrupted, state, stopped, held, begun = notebooks.run(
        [
            FRAME,
            'train("churn", algorithm="xgboost", data=df, target="lft", hyperparameters={"num_round": 1})',
            BAD,
            SLOW,
            "job('slow@1').state",
            "job('slow@1').stop().status",
            "slow = job('slow@1')\n" + HELD,
            "job('held@1').wait().state",
        ]
    )
    assert wrong.error_name == "SpecError"
    assert "there is no column 'lft'" in wrong.error
    assert "site-packages" not in wrong.error
    assert failed.error_name == "JobFailed"
    assert "AlgorithmError: <b>no" in failed.error
    assert len(failed.error.split("\n")) < 40
    assert interrupted.error == (
        'job/slow@1 continues without this cell: sagespec.job("slow@1").wait() follows it again, '
        'sagespec.job("slow@1").stop() ends it'
    )
    assert text_of(interrupted.html[0]).startswith("job/slow@1 continues without this cell")
    assert held.error == (
        "job/held@1 has not begun yet: it begins in the background of this notebook; "
        'sagespec.job("held@1").wait() follows it'
    )
    assert "'trained'" in begun.text, "as the interrupted cell has said"
    assert state.check() == "'running'"
    assert "stopped" in stopped.check()
