"""`%sagespec` and `%%sagespec` in a real kernel: what they show, what they refuse, and that no traceback is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.cells import Notebooks
from tests.notebook.overlay import make

pytestmark = pytest.mark.jupyter

JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: tiny
version: 1
algorithm: xgboost
hyperparameters: {objective: "binary:logistic", num_round: 2}
channels:
  train: {source: ../data/train.csv, content_type: text/csv}
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("environment") / "python", "jupyter")


@pytest.fixture
def notebooks(tmp_path: Path, python: Path, project_name: str) -> Iterator[Notebooks]:
    project, scratch = tmp_path / "project", tmp_path / "scratch"
    (project / "data").mkdir(parents=True)
    scratch.mkdir()
    (project / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\nruntime: process\n"
    )
    rows = (f"{number % 2},{number},{(number * 7) % 5}" for number in range(40))
    (project / "data" / "train.csv").write_text("\n".join(rows) + "\n")
    found = Notebooks(python, project, scratch)
    yield found
    found.check_nothing_left()


def test_what_is_wrong_is_said_as_by_the_command_and_without_a_traceback(notebooks: Notebooks) -> None:
    word, name, missing, option, quote = notebooks.run(
        [
            "%sagespec statu",
            "%sagespec logs nothing",
            "%sagespec logs",
            "%sagespec plan --prun",
            "%sagespec logs 'churn",
        ]
    )
    assert 'did you mean "status"?' in word.error
    assert "there is nothing named nothing" in name.error
    assert "required: NAME" in missing.error
    assert "--prun" in option.error
    assert "close the quotation mark" in quote.error
    for cell in (word, name, missing, option, quote):
        assert "Traceback" not in cell.error
        assert "site-packages" not in cell.error


def test_a_cell_of_yaml_is_checked_planned_saved_and_applied(notebooks: Notebooks) -> None:
    """Errors name the line of the cell, of which the magic's own is the first."""
    wrong = JOB.replace("num_round: 2", "num_rounds: 2")
    cells = ["%%sagespec\n" + wrong, "%%sagespec\n" + JOB, "%%sagespec --write tiny\n" + JOB, "%sagespec logs tiny"]
    refused, planned, applied, logs = notebooks.run([*cells, "%sagespec history tiny"])[:4]
    assert "cell:7:" in refused.error + refused.text
    assert "num_rounds" in refused.error + refused.text
    assert "tiny" in planned.check()
    assert "specs/tiny.yaml is written" in applied.check()
    assert "train-logloss" in logs.check() or "[1]" in logs.check()
    text = (notebooks.project / "specs" / "tiny.yaml").read_text()
    assert text.startswith("# Written by sagespec from a notebook's cell")
    assert text.endswith(JOB)
    assert [path.name for path in (notebooks.project / "specs").iterdir()] == ["tiny.yaml"]


def test_a_cell_that_is_run_again_replaces_its_own_file_and_no_other(notebooks: Notebooks) -> None:
    specs = notebooks.project / "specs"
    specs.mkdir()
    (specs / "mine.yaml").write_text(JOB.replace("tiny", "mine"))
    again = JOB.replace("num_round: 2", "num_round: 3").replace("version: 1", "version: 2")
    first, second, foreign, outside = notebooks.run(
        [
            f"%%sagespec --write {name}\n{text}"
            for name, text in [("a", JOB), ("a", again), ("mine", JOB), ("../a", JOB)]
        ]
    )
    first.check()
    second.check()
    assert (specs / "a.yaml").read_text().endswith(again)
    assert "was not written by a cell" in foreign.error
    assert "does not name a file below specs/" in outside.error
    assert "name: mine" in (specs / "mine.yaml").read_text()


def test_the_tabulator_completes_words_and_addresses(notebooks: Notebooks) -> None:
    (notebooks.project / "specs").mkdir()
    (notebooks.project / "specs" / "tiny.yaml").write_text(JOB)
    typed = ["%sagespec st", "%sagespec logs ti", "%sagespec logs tiny@1 --f"]
    cells = notebooks.run(
        [f"get_ipython().complete({text.split(' ')[-1]!r}, {text!r}, {len(text)})[1]" for text in typed]
    )
    assert [cell.check() for cell in cells] == ["['status']", "['tiny@1']", "['--follow']"]


def test_a_notebook_outside_of_projects_has_that_of_its_kernel(notebooks: Notebooks, tmp_path: Path) -> None:
    """It was made for a project, and has that one."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (notebooks.project / "specs").mkdir()
    status, sums = notebooks.run(["%sagespec status", "1 + 1"], folder=elsewhere)
    assert str(notebooks.project) in status.check()
    assert sums.check() == "2"
