"""The verbs, where no scenario covers them: which engine, which data must be there, what is remembered."""

from __future__ import annotations

import os
import re
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from sagespec import Project, SpecError, WorldError
from sagespec.events import Event, EventKind
from sagespec.parts import Parts
from sagespec.reconcile.options import Options
from sagespec.runtimes.choose import choose
from sagespec.verbs.plan import desired, refuse_partial_prune
from sagespec.verbs.rollback import request_of
from tests.ports import free_port
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until


@pytest.fixture
def workspace(tmp_path: Path, project_name: str) -> Workspace:
    return Workspace(tmp_path / "project", project_name, "process")


def test_auto_stays_with_the_processes_of_the_last_apply(tmp_path: Path) -> None:
    chosen, reason = choose("auto", "acme", tmp_path, last="process")
    assert chosen.name == "process"
    assert "runs there" in reason


def test_auto_starts_no_second_copy_when_the_engine_of_the_last_apply_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(WorldError, match="must not run a second time"):
        choose("auto", "acme", tmp_path, last="docker")
    with pytest.raises(WorldError, match="DOCKER_HOST names an engine"):
        choose("auto", "acme", tmp_path)


def test_apply_notes_its_runtime_and_destroy_forgets_it(workspace: Workspace) -> None:
    note = workspace.root / ".sagespec" / "runtime"
    workspace.write(job(1))
    with workspace.project() as project:
        assert project.apply().ok
        assert note.read_text() == "process\n"
        assert project.destroy().ok
    assert not note.exists()


def test_missing_data_and_what_a_built_in_objects_to_are_told_in_one_run(workspace: Workspace) -> None:
    workspace.write(job(1).replace("train.csv", "trian.csv"), "specs/one.yaml")
    workspace.write(job(2).replace("algorithm: ", "algorithm: x"), "specs/two.yaml")
    with workspace.project() as project, pytest.raises(SpecError) as wrong:
        project.plan()
    told = [str(problem) for problem in wrong.value.problems]
    assert len(told) == 2
    assert 'trian.csv" does not exist' in told[0]
    assert "there is no built-in named" in told[1]


def test_an_empty_channel_is_refused_before_anything_runs_and_alone(workspace: Workspace) -> None:
    (workspace.root / "data" / "none" / "below").mkdir(parents=True)
    workspace.write(job(1) + job(2).replace("train.csv", "none"))
    with workspace.project() as project:
        with pytest.raises(SpecError, match=r"channel train: there is nothing at data/none\n  why  SageMaker also"):
            project.validate()
        assert not project.apply(check=False).ok
        assert [(row.state, row.detail) for row in project.status().jobs] == [
            ("trained", ""),
            ("refused", "channel train: there is nothing at data/none"),
        ]
        (workspace.root / "data" / "none" / "below" / "link").symlink_to(workspace.root / "data" / "train.csv")
        assert project.validate().jobs == 2
        assert project.apply().ok


def test_columns_that_the_data_lack_are_refused_before_anything_runs(workspace: Workspace) -> None:
    data = workspace.root / "data" / "train.csv"

    def refusal(columns: str) -> str:
        spec = job(1, algorithm="xgboost", hyperparameters="{num_round: 1}")
        workspace.write(spec.replace("../data/train.csv", f"{{source: ../data/train.csv, {columns}}}"))
        with workspace.project() as project:
            refused = project.plan().refused
            with nullcontext() if not refused else pytest.raises(SpecError, match=re.escape(refused[0].what)):
                project.validate()
        return "; ".join(f"{problem.what}: {problem.fix}" for problem in refused)

    data.write_text("id,age,churned\n7,30,1\n")
    assert "train.csv: there is no column 'Churn', which target names: did you mean 'churned'?" in refusal(
        "target: Churn"
    )
    assert "there is no column 'x', which drop names: the columns are id, age, churned" in refusal(
        "target: churned, drop: [id, x]"
    )
    assert refusal("target: churned, categorical: age") == ""
    data.write_text("7,30,1\n")
    assert "does the file have no header line?" in refusal("target: churned")
    data.write_bytes("id,churned\n".encode("utf-16"))
    assert "train.csv is UTF-16 text: save it as UTF-8" in refusal("target: churned")


def test_a_job_that_could_not_start_says_why_until_it_does(workspace: Workspace) -> None:
    """The file is there when the specs are checked, and cannot be read when the data are brought."""
    data = workspace.root / "data" / "train.csv"
    content = data.read_bytes()
    data.unlink()
    data.parent.joinpath("late").mkdir()
    data.symlink_to("late/train.csv")
    workspace.write(job(1).replace("/train.csv", "/"))
    with workspace.project() as project:
        assert not project.apply(check=False).ok
    with workspace.project() as project:
        (row,) = project.status().jobs
        assert row.state == "waiting"
        assert row.detail.startswith("could not start: ")
        assert "is a link to late/train.csv, which does not exist" in row.as_json()["detail"]
        workspace.edit("version: 1", "version: 2")
        assert project.status().jobs[0].detail == "not trained yet"
        workspace.edit("version: 2", "version: 1")
        data.parent.joinpath("late", "train.csv").write_bytes(content)
        assert project.apply().ok
        assert [row.state for row in project.status().jobs] == ["trained"]


def test_data_must_be_there_for_a_job_to_be_run_and_not_for_one_that_is_trained(workspace: Workspace) -> None:
    data = workspace.root / "data" / "train.csv"
    workspace.write(job(1))
    content = data.read_text()
    data.unlink()
    with workspace.project() as project:
        with pytest.raises(SpecError, match="does not exist"):
            project.plan()
        with pytest.raises(SpecError, match="does not exist"):
            project.validate()
        assert project.status().jobs[0].state == "waiting"
        data.write_text(content)
        assert project.apply().ok
        data.unlink()
        assert not project.plan().actions
        assert project.validate().jobs == 1


def test_a_trained_job_without_a_spec_can_be_served(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.project() as project:
        assert project.apply().ok
    workspace.write(endpoint("only model@1 1"))
    with workspace.project() as project:
        assert project.validate().endpoints == 1
        assert [action.verb for action in project.plan()][:2] == ["start-gateway", "start-instance"]
    workspace.write(endpoint("only model@2 1"))
    with workspace.project() as project, pytest.raises(SpecError, match="model@2"):
        project.plan()


def test_rolling_back_says_what_there_is_to_go_back_to(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    with workspace.project() as project:
        with pytest.raises(WorldError, match="has never been live"):
            project.rollback("answers")
        assert project.apply().ok
        with pytest.raises(SpecError, match="nothing to roll back to"):
            project.rollback("answers")
        assert project.destroy().ok


def test_the_specs_may_be_anywhere_and_the_folder_below_the_root(workspace: Workspace) -> None:
    elsewhere = workspace.root / "more"
    elsewhere.mkdir()
    (elsewhere / "job.yaml").write_text(job(7))
    before = Path.cwd()
    os.chdir(elsewhere)
    try:
        with Project.open(specs=[elsewhere]) as project:
            assert project.root == workspace.root
            assert [str(j.address) for j in desired(project.parts)[0].jobs] == ["job/model@7"]
    finally:
        os.chdir(before)


def test_a_roll_back_cut_short_is_carried_out_and_not_begun_again(workspace: Workspace) -> None:
    jobs = job(1) + job(2) + job(3)
    with workspace.project() as project:
        for version in (1, 2, 3):
            workspace.write(jobs + endpoint(f"only model@{version} 1"))
            assert project.apply().ok
        parts = project.parts
        wanted = desired(parts)[0].endpoints[0]
        parts.records.write_rollback(request_of(parts, wanted, None, ""))  # and here it was killed
        assert project.rollback("answers").ok
        history = project.parts.records.history("answers")
        assert [revision.status.value for revision in history] == ["live", "live", "rolled_back", "live"]
        assert history[-1].asked == history[1].asked, "one revision back, not two, and not what was given up"
        (state,) = project.status().endpoints
        assert [variant.instances_healthy for variant in state.variants] == [1]


def test_pruning_by_a_single_file_is_refused(workspace: Workspace) -> None:
    workspace.write(job(1))
    file = workspace.root / "specs" / "all.yaml"
    with Project.open(workspace.root, specs=[file]) as project, pytest.raises(SpecError, match="other files"):
        project.plan(Options(prune=True))
    with Project.open(workspace.root, specs=[file.parent]) as project:
        assert project.plan(Options(prune=True)).actions


def test_pruning_by_one_of_several_folders_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "teams", "process")
    for team in ("specs/a", "specs/b", "more/c"):
        (workspace.root / team).mkdir(parents=True)
        name = team[-1]
        (workspace.root / team / "job.yaml").write_text(job(1).replace("name: model", f"name: {name}"))
    specs, more = workspace.root / "specs", workspace.root / "more"
    for given, other in (([specs / "a"], "specs/b/job.yaml"), ([more], "specs/a/job.yaml")):
        with Project.open(workspace.root, specs=given) as project, pytest.raises(SpecError, match=other):
            project.plan(Options(prune=True))
    for complete in ([specs], [specs, more], [specs / "a", specs / "b"]):
        refuse_partial_prune(Parts(workspace.root, complete), Options(prune=True))


def test_what_no_header_can_carry_is_told_in_words(workspace: Workspace) -> None:
    with workspace.project() as project, pytest.raises(SpecError, match="header"):
        project.invoke("answers", b"1", variant="a\nb")


def test_watch_takes_up_edited_settings_and_refuses_another_name(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    events: list[Event] = []
    stop = threading.Event()
    other_port = free_port()
    with workspace.project() as project:
        watcher = threading.Thread(
            target=project.watch, kwargs={"report": events.append, "cancelled": stop, "every_seconds": 60.0}
        )
        watcher.start()
        try:
            wait_until(lambda: any(e.kind is EventKind.SETTLED for e in events))
            workspace.edit(f"port: {workspace.port}", f"port: {other_port}", "sagespec.yaml")
            wait_until(lambda: sum(e.kind is EventKind.SETTLED for e in events) > 1)
            workspace.port = other_port
            assert workspace.invoke("answers", "hello")[0] == 200
            workspace.edit(f"name: {workspace.name}", "name: somebody-else", "sagespec.yaml")
            wait_until(lambda: any("is now called somebody-else" in e.text for e in events))
        finally:
            stop.set()
            watcher.join()


def test_a_project_runs_under_one_runtime_at_a_time(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    with workspace.project() as project:
        assert project.apply().ok
    (workspace.root / ".sagespec" / "runtime").write_text("docker\n")
    with workspace.project() as project:
        (row,) = project.status().endpoints
        assert row.state == "elsewhere"
        assert "run under the runtime docker: `sagespec status --runtime docker` shows them" in row.detail
        with pytest.raises(WorldError, match="destroy --runtime docker"):
            project.apply()


def test_a_body_over_the_limit_is_told_in_words(workspace: Workspace) -> None:
    with workspace.project() as project, pytest.raises(SpecError, match="over the limit of 26214400"):
        project.invoke("answers", bytes(25 * 2**20 + 1))
