"""A project in the cells of a real kernel: what they show, what they raise, and what an interrupt leaves running."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.project import Project
from tests.notebook.cells import Cell, Notebooks
from tests.notebook.overlay import make
from tests.ports import free_port
from tests.show.markup import rows_of, text_of, tree_of

pytestmark = [pytest.mark.jupyter, pytest.mark.slow]

JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: tiny
version: 1
algorithm: xgboost
hyperparameters: {objective: "binary:logistic", num_round: 20, eval_metric: auc}
channels:
  train: {source: ../data/train.csv, content_type: text/csv}
  validation: {source: ../data/train.csv, content_type: text/csv}
---
apiVersion: sagespec/v1
kind: Endpoint
name: tiny
variants: [{name: main, model: tiny@1}]
"""
SCRIPT = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: NAME
version: 1
framework: sklearn
source_dir: ../code
entry_point: NAME.py
channels: {train: ../data/train.csv}
"""
OPEN = "from sagespec import Project; project = Project.open()"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("environment") / "python", "jupyter")


@pytest.fixture
def notebooks(tmp_path: Path, python: Path, project_name: str) -> Iterator[Notebooks]:
    project, scratch = tmp_path / "project", tmp_path / "scratch"
    for folder in (project / "data", project / "specs", project / "code", scratch):
        folder.mkdir(parents=True)
    (project / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\nruntime: process\n"
        f"gateway: {{port: {free_port()}}}\n"
    )
    rows = (f"{number % 2},{number},{(number * 7) % 5}" for number in range(40))
    (project / "data" / "train.csv").write_text("\n".join(rows) + "\n")
    found = Notebooks(python, project, scratch)
    yield found
    found.check_nothing_left()
    with Project.open(project) as opened:
        opened.destroy(check=False)


def run(notebooks: Notebooks, *cells: str) -> list[Cell]:
    """The cells behind one that opens the project; each shows text, or text and HTML that a strict reader takes."""
    opened, *ran = notebooks.run([OPEN, *cells])
    opened.check()
    for cell in ran:
        assert cell.kinds <= {"text/plain", "text/html"}
        for html in cell.html:
            tree_of(html)
    return ran


def test_every_value_shows_itself(notebooks: Notebooks) -> None:
    (notebooks.project / "specs" / "tiny.yaml").write_text(JOB)
    project, plan, printed, applied, status, logs, manifest, metrics, history, answer, frame = run(
        notebooks,
        "project",
        "project.plan()",
        "print(project.plan())",
        "project.apply()",
        "project.status()",
        "project.logs('tiny@1')",
        "project.manifest('job/tiny@1')",
        "project.metrics('tiny')",
        "project.history('tiny')",
        "project.invoke('tiny', [[3, 1], [4, 2]])",
        "import pandas; project.invoke('tiny/main', pandas.DataFrame({'a': [3], 'b': [1]})).frame().shape",
    )
    assert project.check() == f"Project('{notebooks.project}')"
    assert ["run-job", "job/tiny@1", "not trained yet"] in rows_of(plan.html[0])
    assert plan.check().strip() == printed.check().strip()
    assert "1 to train" in printed.text
    live, ended = applied.html
    assert text_of(live).startswith("done · ")
    assert "validation:auc" in text_of(live)
    assert len(list(tree_of(live).iter("path"))) == 2
    assert "everything is up to date" in text_of(ended)
    assert "trained" in text_of(status.html[0])
    assert len(list(tree_of(status.html[0]).iter("rect"))) == 1
    assert "validation-auc" in logs.check()
    assert logs.html == ()
    assert len(list(tree_of(manifest.html[0]).iter("path"))) == 2
    assert "validation:auc" in metrics.check()
    assert [row[:2] for row in rows_of(history.html[0])[1:]] == [["1", "live"]]
    assert answer.check().startswith("200 text/csv from main\n0.")
    assert frame.check() == "(1, 1)"


def test_what_failed_is_raised_with_its_reason_and_its_last_lines(notebooks: Notebooks) -> None:
    (notebooks.project / "code" / "bad.py").write_text(
        "print('<img onerror=x>')\nraise ValueError('no <b>labels</b>')\n"
    )
    (notebooks.project / "specs" / "bad.yaml").write_text(SCRIPT.replace("NAME", "bad"))
    applied, quiet, unknown, gone = run(
        notebooks,
        "project.apply()",
        "project.apply(check=False).ok",
        "project.manifest('bda@1')",
        "project.invoke('nope', [1])",
    )
    assert applied.error_name == "ApplyFailed"
    assert applied.error.split("\n")[0].endswith("ApplyFailed\x1b[0m in line 1: project.apply()")
    assert "AlgorithmError: ValueError: no <b>labels</b>" in applied.error
    assert "  fix  correct the code" in applied.error
    assert "site-packages" not in applied.error
    (live,) = applied.html
    assert "failed · 1 failed" in text_of(live)
    assert "no <b>labels</b>" in text_of(live)
    assert quiet.check().endswith("False")
    assert (unknown.error_name, gone.error_name) == ("WorldError", "WorldError")
    assert 'did you mean "bad@1"?' in unknown.error


def test_a_wrong_spec_is_said_in_a_few_lines(notebooks: Notebooks) -> None:
    (notebooks.project / "specs" / "tiny.yaml").write_text(JOB.replace("num_round", "num_rond"))
    (plan,) = run(notebooks, "x = 1\nproject.plan()")
    first, *others = plan.error.split("\n")
    assert first.endswith("SpecError\x1b[0m in line 2: project.plan()")
    assert others[0].startswith("specs/tiny.yaml:6:")
    assert len(others) < 6


def test_an_interrupt_ends_the_following_and_says_how_to_end_the_job(notebooks: Notebooks) -> None:
    (notebooks.project / "code" / "slow.py").write_text(
        "import time\nfor n in range(600):\n"
        "    print(f'round {n} loss={1 / (n + 1)};', flush=True)\n    time.sleep(0.1)\n"
    )
    metrics = "metrics: [{name: loss, regex: 'loss=([0-9.]+);'}]\n"
    (notebooks.project / "specs" / "slow.yaml").write_text(SCRIPT.replace("NAME", "slow") + metrics)
    applied, status, stopped = run(
        notebooks,
        "import os, signal, threading, time\n"
        "def interrupt():\n"
        "    while not any('round 5 ' in line for _, line in project.logs('slow@1')): time.sleep(0.1)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "def begin():\n"
        "    while not project.status().jobs[0].state == 'running': time.sleep(0.1)\n"
        "    interrupt()\n"
        "threading.Thread(target=begin).start()\n"
        "project.apply()",
        "project.status().jobs[0].state.value",
        "project.stop('slow@1').status.value",
    )
    assert applied.error_name == "Interrupted"
    assert applied.error == (
        "no longer followed; job/slow@1 keeps running: apply() picks it up again, project.stop('job/slow@1') ends it"
    )
    (live,) = applied.html
    assert text_of(live).startswith("no longer followed; job/slow@1 keeps running")
    assert re.search(r"round \d+ loss=", text_of(live))  # what was shown last may be a line older than the log
    assert len(list(tree_of(live).iter("path"))) == 1
    assert status.check() == "'running'"
    assert stopped.text.endswith("'stopped'")
