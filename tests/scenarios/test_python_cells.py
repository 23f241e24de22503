"""Cells of a notebook as people run them: again, changed, at once, interrupted, killed; in files that others wrote."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sagespec import JobFailed, ModelError, SagespecError, SpecError, WorldError, deploy, endpoint, job, train
from sagespec.documents.files import MARK
from sagespec.handles import projects
from sagespec.state.observed import ContainerState
from tests.scenarios.specs import endpoint as endpoint_text
from tests.scenarios.specs import job as job_text
from tests.scenarios.workspace import Workspace, wait_until

DATA = {"train": "data/train.csv"}


@pytest.fixture
def notebook(tmp_path: Path, project_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "project", project_name, "process")
    monkeypatch.chdir(workspace.root)
    yield workspace
    if project := projects._open.pop(workspace.root.resolve(), None):
        project.close()


def echo(name: str = "model", **given: Any) -> Any:
    """A job of the test program, which trains in no time."""
    return train(name, algorithm="echo", data=DATA, **given)


def specs_of(notebook: Workspace, name: str = "model") -> str:
    return (notebook.root / "specs" / "notebook" / f"{name}.yaml").read_text()


def in_a_cell(notebook: Workspace, code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_change_takes_the_next_version_and_the_same_as_before_finds_its_own(notebook: Workspace) -> None:
    first = echo(hyperparameters={"words": "a"})
    second = train(first, hyperparameters={"words": "b"})
    assert (str(first), str(second)) == ("model@1", "model@2")
    assert specs_of(notebook).count("kind: TrainingJob") == 1, "a file holds what was asked for last"
    assert "version: 2" in specs_of(notebook)
    assert echo(hyperparameters={"words": "a"}) == first
    assert train(second, hyperparameters={"words": None}) == job("model@3")
    assert "hyperparameters" not in specs_of(notebook)
    (notebook.root / "data" / "train.csv").write_text("0,0.5\n1,0.75\n1,0.5\n")
    assert str(echo(hyperparameters={"words": "b"})) == "model@4", "its data is another now"
    assert notebook.json("plan")["actions"] == []
    assert notebook.run("validate").returncode == 0


def test_versions_that_serve_stay_in_the_file(notebook: Workspace) -> None:
    first = echo(hyperparameters={"words": "a"})
    deploy(first)
    second = train(first, hyperparameters={"words": "b"})
    train(second, hyperparameters={"words": "c"})
    assert [line for line in specs_of(notebook).splitlines() if "version" in line] == ["version: 3", "version: 1"]
    (notebook.root / ".sagespec").rename(notebook.root / "gone")
    assert notebook.run("validate").returncode == 0, "a fresh clone knows what it serves"
    (notebook.root / "gone").rename(notebook.root / ".sagespec")


def test_a_failure_is_raised_with_its_reason_and_the_corrected_job_takes_its_place(notebook: Workspace) -> None:
    with pytest.raises(JobFailed) as failed:
        echo(hyperparameters={"failure": "no such column", "lines": 30, "exit_code": 1})
    assert failed.value.reason == "failed: AlgorithmError: no such column"
    assert len(failed.value.lines) == 20
    assert failed.value.lines[-1] in str(failed.value)
    with pytest.raises(JobFailed, match="no such column"):
        echo(hyperparameters={"failure": "no such column", "lines": 30, "exit_code": 1})
    with pytest.raises(JobFailed, match="no such column"):
        deploy("model@1")
    assert str(echo()) == "model@1", "nothing was trained under that version"
    with pytest.raises(SpecError, match="algorithm"):
        train("other", algorithm="ecko", data=DATA)
    assert not (notebook.root / "specs" / "notebook" / "other.yaml").exists(), "what is wrong is not written"


def test_wrong_arguments_are_refused_in_words_and_leave_nothing(notebook: Workspace) -> None:
    frame = pd.DataFrame({"left": [0, 1], "bill": [1.0, 2.0]})
    with pytest.raises(SpecError, match='"churn 2" is not a name') as refused:
        train("churn 2", algorithm="xgboost", data={"train": frame}, target="left")
    assert refused.value.problems[0].fix.startswith("use 1 to 63 letters and digits")
    assert not (notebook.root / "data" / "churn 2").exists()
    served = deploy(echo())
    wrong: list[tuple[dict[Any, Any], str]] = [
        ({"model@1": "x"}, "the weight of model@1 is 'x'"),
        ({"model@1": True}, "the weight of model@1 is True"),
        ({"model@1": float("nan")}, "the weight of model@1 is nan"),
        ({"v1": 1}, "'v1' is not a job"),
        ({"model@9": 1}, "there is no job model@9"),
    ]
    for weights, said in wrong:
        with pytest.raises(SagespecError, match=re.escape(said)):
            served.split(weights)
    with pytest.raises(SpecError, match="7 is not a job"):
        deploy(7)  # type: ignore[arg-type]
    served.delete()
    with pytest.raises(WorldError, match="is in no spec and is not live") as gone:
        _ = served.state
    assert "did you mean" not in str(gone.value), "its own name helps nobody"


def test_what_failed_is_tried_again_on_request(notebook: Workspace) -> None:
    (notebook.root / "train.py").write_text(
        "import os, pathlib, sys\nsys.exit(0 if pathlib.Path(os.environ['FLAG']).exists() else 'the flag is missing')\n"
    )
    flag = notebook.root / "flag"
    given: dict[str, Any] = {"framework": "sklearn", "entry_point": "train.py", "environment": {"FLAG": str(flag)}}
    with pytest.raises(JobFailed, match="the flag is missing"):
        train("flags", **given)
    flag.touch()
    with pytest.raises(JobFailed, match="the flag is missing"):
        train("flags", **given)
    assert train("flags", retry=True, **given).state == "trained"


def test_a_file_that_a_person_wrote_is_never_touched(notebook: Workspace) -> None:
    notebook.write(job_text(1), "specs/model.yaml")
    notebook.write(endpoint_text("stable model@1 1", name="model"), "specs/served.yaml")
    before = {path: path.read_text() for path in (notebook.root / "specs").glob("*.yaml")}
    first = job("model@1").wait()
    assert echo() == first, "it is the same, wherever it stands"
    assert not (notebook.root / "specs" / "notebook").exists()
    second = train(first, hyperparameters={"words": "b"})
    assert str(second) == "model@2"
    assert "source: ../../data/train.csv" in specs_of(notebook) or "train: ../../data/train.csv" in specs_of(notebook)
    served = endpoint("model").wait()
    with pytest.raises(SpecError, match=r"specs/served.yaml, which a person wrote") as refused:
        served.split({first: 1, second: 1})
    assert "model: model@2, weight: 1" in refused.value.problems[0].why
    with pytest.raises(SpecError, match="which a person wrote"):
        served.delete()
    assert {path: path.read_text() for path in (notebook.root / "specs").glob("*.yaml")} == before
    assert deploy(second, "mine").state == "serving"
    assert notebook.json("plan")["actions"] == []


def test_a_job_that_stands_in_another_file_of_ours_is_not_written_a_second_time(notebook: Workspace) -> None:
    notebook.write(f"{MARK} from a notebook's cell.\n{job_text(1)}", "specs/cell.yaml")
    assert echo() == job("model@1")
    assert not (notebook.root / "specs" / "notebook").exists()
    assert str(echo(hyperparameters={"words": "b"})) == "model@2"
    assert notebook.run("validate").returncode == 0


def test_nothing_else_is_applied(notebook: Workspace) -> None:
    notebook.write(job_text(1).replace("name: model", "name: other") + endpoint_text("only other@1 1", name="other"))
    notebook.write("{", "specs/torn.yaml")
    deploy(echo())
    assert {name.partition("/only")[0] for name in notebook.names()} == {"gateway", "endpoint/model/v1#0"}
    with notebook.project() as project:
        assert not project.parts.records.all_jobs() or [str(a) for a in project.parts.records.all_jobs()] == [
            "job/model@1"
        ]


def test_two_cells_at_once_each_get_their_own(notebook: Workspace) -> None:
    found: dict[str, list[str]] = {"a": [], "b": []}
    errors: list[BaseException] = []

    def cell(word: str) -> None:
        try:
            found[word].append(str(echo(hyperparameters={"words": word, "sleep": 0.3})))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=cell, args=(word,)) for word in ("a", "a", "b", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert found["a"][0] == found["a"][1] != found["b"][0] == found["b"][1]
    assert {*found["a"], *found["b"]} == {"model@1", "model@2"}
    with notebook.project() as project:
        assert [len(project.manifest(one).attempts) for one in project.parts.records.all_jobs()] == [1, 1]


def test_without_waiting_it_continues_beside_the_cells_and_beyond_the_kernel(notebook: Workspace) -> None:
    code = (
        "import sagespec; j = sagespec.train('model', algorithm='echo', data={'train': 'data/train.csv'}, "
        "hyperparameters={'sleep': 3}, wait=False); print(j, j.state)\n"
        "while j.state != 'running': pass"
    )
    said = subprocess.run(
        in_a_cell(notebook, code), cwd=notebook.root, env=notebook.env, check=True, capture_output=True, text=True
    ).stdout
    assert said.startswith("model@1 "), "the handle comes at once"
    again = job("model@1")
    assert again.state == "running", "the end of a process is not the end of its job"
    assert again.wait().state == "trained"
    with notebook.project() as project:
        assert len(project.manifest(again.address).attempts) == 1


def test_killed_in_the_middle_the_same_cell_continues(notebook: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sagespec; sagespec.train('model', algorithm='echo', data={'train': 'data/train.csv'}, "
        "hyperparameters={'sleep': 4, 'lines': 3})"
    )
    process = subprocess.Popen(in_a_cell(notebook, code), cwd=notebook.root, env=notebook.env)
    wait_until(lambda: any(name.startswith("job/model@1") for name in notebook.names()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = echo(hyperparameters={"sleep": 4, "lines": 3})
    assert (str(found), found.state) == ("model@1", "trained")
    with notebook.project() as project:
        assert len(project.manifest(found.address).attempts) == 1
    assert capsys.readouterr().out.strip(), "its log is shown from the beginning"


HELD = """\
import _thread, threading, sagespec
from sagespec.records.lock import project_lock
parts = sagespec.Project.open().parts
with project_lock(parts.store, parts.settings.name, command="a long pass", wait_seconds=10):
    threading.Timer(1.5, _thread.interrupt_main).start()
    sagespec.train("model", algorithm="echo", data={"train": "data/train.csv"})
"""


def test_interrupted_before_it_has_begun_a_job_waits_for_somebody(notebook: Workspace) -> None:
    done = subprocess.run(
        in_a_cell(notebook, HELD), cwd=notebook.root, env=notebook.env, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert (
        'job/model@1 has not begun: sagespec.job("model@1").wait() continues with it, and so does `sagespec apply`'
        in done.stdout
    )
    assert "continues without this cell" not in done.stdout
    assert job("model@1").state == "waiting", "its program has ended, and nobody else is there"
    assert job("model@1").wait().state == "trained"


def test_an_interrupted_cell_says_how_to_continue_and_the_job_runs_on(notebook: Workspace) -> None:
    code = (
        "import sagespec; sagespec.train('model', algorithm='echo', data={'train': 'data/train.csv'}, "
        "hyperparameters={'sleep': 60})"
    )
    process = subprocess.Popen(
        in_a_cell(notebook, code), cwd=notebook.root, env=notebook.env, stdout=subprocess.PIPE, text=True
    )
    wait_until(
        lambda: any(one.address.kind == "job" and one.state is ContainerState.RUNNING for one in notebook.containers())
    )
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode != 0
    assert (
        'job/model@1 continues without this cell: sagespec.job("model@1").wait() follows it again, '
        'sagespec.job("model@1").stop() ends it' in said
    )
    found = job("model@1")
    assert found.state == "running"
    found.stop("enough")
    with pytest.raises(JobFailed, match="Stopped: asked for by"):
        found.wait()


def test_a_job_is_left_to_a_run_that_watches(notebook: Workspace) -> None:
    with notebook.running("watch"):
        with notebook.project() as project:
            wait_until(lambda: any(run.command == "watch" for run in project.status().runs))
        found = echo(hyperparameters={"sleep": 2}, wait=False)
        wait_until(lambda: found.look().follower is not None)
        follower = found.look().follower
        assert follower is not None
        assert follower.who.startswith("sagespec watch")
        assert found.wait().state == "trained"
        assert deploy(found).state == "serving"


def test_no_project_is_made_of_a_home_and_a_bare_folder_becomes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match="is in no project, and is not made one"):
        train("model", algorithm="echo", data="t.csv")
    folder = tmp_path / "churn models"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(SpecError, match="no sagespec"):
        job("model@1")
    assert not list(folder.iterdir())
    with pytest.raises(SpecError, match="there is no t"):
        train("model", algorithm="echo", data="t.csv")
    assert capsys.readouterr().out == (
        f"{folder}/sagespec.yaml is new: this folder is now the project churn-models. "
        "Models are kept in .sagespec/store.\n"
    )
    assert (folder / ".gitignore").read_text() == ".sagespec/\n"
    assert not (folder / "specs").exists()
    projects._open.pop(folder.resolve()).close()


SCRIPT = """
import os, pathlib, joblib, pandas as pd
from sklearn.linear_model import LogisticRegression

if __name__ == "__main__":
    frame = pd.read_csv(next(pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]).glob("*.csv")))
    model = LogisticRegression().fit(frame[["a", "b"]].to_numpy(), frame["y"])
    print(f"rows={len(frame)}")
    joblib.dump(model, pathlib.Path(os.environ["SM_MODEL_DIR"]) / "model.joblib")

def model_fn(folder):
    return joblib.load(pathlib.Path(folder) / "model.joblib")

def predict_fn(data, model):
    return model.predict(data.to_numpy() if hasattr(data, "to_numpy") else data)
"""


def test_a_script_takes_frames_arrays_and_lists_and_its_code_counts(notebook: Workspace) -> None:
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0], "y": [0, 0, 1, 1]})
    (notebook.root / "train.py").write_text(SCRIPT)
    given: dict[str, Any] = {
        "framework": "sklearn",
        "entry_point": "train.py",
        "data": {"train": frame},
        "metrics": {"rows": "rows=([0-9]+)"},
    }
    first = train("script", **given)
    assert first.metrics == {"rows": 4.0}
    served = deploy(first)
    rows = frame[["a", "b"]].set_axis(["w", "x", "y", "z"])
    answer = served.predict(rows)
    assert list(answer.index) == ["w", "x", "y", "z"]
    assert (
        answer.iloc[:, 0].tolist() == served.predict(rows.to_numpy()).tolist() == served.predict(rows.values.tolist())
    )
    assert isinstance(served.predict(rows.to_numpy()), np.ndarray)
    assert served.predict(b"0,1\n3,0\n", accept="text/csv").split() == [b"0", b"1"]
    with pytest.raises(ModelError) as refused:
        served.predict(np.zeros((1, 3)))
    assert refused.value.variant == "v1"
    assert refused.value.status >= 400
    with pytest.raises(WorldError, match="endpoint/none"):
        endpoint("none")
    (notebook.root / "train.py").write_text(SCRIPT + "# more\n")
    assert str(train("script", **given)) == "script@2"
    assert job("script").version == 2


def test_importing_the_verbs_brings_no_pandas(notebook: Workspace) -> None:
    code = (
        "import sys, sagespec; from sagespec import train, deploy, job, endpoint, Channel\n"
        "j = train('model', algorithm='echo', data={'train': 'data/train.csv'})\n"
        "deploy(j).predict([[0.5, 0.25]])\n"
        "print([name for name in ('pandas', 'numpy', 'IPython') if name in sys.modules])"
    )
    said = subprocess.run(
        in_a_cell(notebook, code), cwd=notebook.root, env=notebook.env, check=True, capture_output=True, text=True
    ).stdout
    assert said.splitlines()[-1] == "[]"


def test_a_script_in_a_folder_is_named_from_there_also_as_before_but(notebook: Workspace) -> None:
    (notebook.root / "src").mkdir()
    for name in ("one", "two"):
        (notebook.root / "src" / f"{name}.py").write_text(f"print('this is {name}')\n")
    first = train("script", framework="sklearn", source_dir="src", entry_point="one.py")
    second = train(first, entry_point="two.py", stopping={"max_runtime": "5m"})
    assert ["this is one" in first.log, "this is two" in second.log] == [True, True]
    assert "source_dir: ../../src" in second.spec
    assert "stopping: {max_runtime: 5m}" in second.spec
    with pytest.raises(SpecError, match="entry_point: there is no one"):
        train("other", framework="sklearn", entry_point="one.py")
