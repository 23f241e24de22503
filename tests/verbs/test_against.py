"""The plan against another commit: exact, of a real repository, with neither engine nor store nor secrets."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sagespec import Project
from sagespec.apply.approved import saved
from sagespec.errors import SpecError, WorldError
from sagespec.inputs.channels import contents_of, input_of
from sagespec.plan import Plan
from sagespec.reconcile.assumed import as_if_trained
from sagespec.show.markdown import plan_markdown
from sagespec.state.manifest import JobStatus
from sagespec.verbs.plan import desired
from tests.checkouts import Checkout
from tests.ports import free_port

SETTINGS = "apiVersion: sagespec/v1\nkind: Project\nname: acme\nruntime: docker\n"
CALLERS = "gateway: {callers: {shop: {key: {environment: NOT_SET_HERE}}, desk: {key: {file: not-here}}}}\n"
IMAGE = "program: {image: example.com/model}"


def job(version: int, rounds: int = 40) -> str:
    return (
        "---\napiVersion: sagespec/v1\nkind: TrainingJob\nname: churn\n"
        f"version: {version}\nalgorithm: xgboost\nhyperparameters: {{num_round: {rounds}, objective: reg:logistic}}\n"
        "channels: {train: {source: ../data/train.csv, content_type: text/csv}}\n"
    )


def endpoint(*variants: str, name: str = "churn") -> str:
    lines = "".join(f"  - {{{variant}}}\n" for variant in variants)
    return f"---\napiVersion: sagespec/v1\nkind: Endpoint\nname: {name}\nvariants:\n{lines}"


def against_branch(repository: Checkout) -> Plan:
    with Project.open(repository.folder / "ml") as project:
        return project.plan_against("HEAD")


STABLE = "name: stable, model: churn@1, weight: 90"
NEW = "name: new, model: churn@2, weight: 10"


@pytest.fixture
def repository(tmp_path: Path) -> Checkout:
    """A project in a folder of its repository; its data are made on each machine, and not in git."""
    repository = Checkout.made(tmp_path / "repository")
    repository.write("ml/sagespec.yaml", SETTINGS)
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE))
    repository.write(".gitignore", "data/\n*.pyc\n")
    repository.commit()
    return repository


def against(repository: Checkout, ref: str = "HEAD") -> Plan:
    with Project.open(repository.folder / "ml") as project:
        found = project.plan_against(ref)
        assert project.runtime_reason == "", "no engine was looked for"
    assert repository.git("status", "--porcelain", "--untracked-files=no", "ml/sagespec.yaml") == ""
    return found


def test_a_commit_against_itself_asks_for_nothing(repository: Checkout) -> None:
    plan = against(repository)
    assert (plan.text(), plan.refused, plan.notes) == ("", (), ())
    assert [str(address) for address in plan.unchanged] == ["job/churn@1", "endpoint/churn"]
    assert plan.as_json()["against"] == repository.git("rev-parse", "HEAD")
    assert not (repository.folder / "ml" / ".sagespec" / "store").exists()


def test_a_change_that_is_not_committed_is_planned_as_it_would_be_done(repository: Checkout) -> None:
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE, NEW))
    repository.write("ml/specs/new.yaml", job(2, rounds=60))
    assert against(repository).text().split("\n") == [
        "run-job          job/churn@2           not trained yet",
        "start-instance   endpoint/churn/new#0  new variant serving churn@2",
        "await-healthy    endpoint/churn/new    1 new instance must be healthy before it gets traffic",
        "set-routes       endpoint/churn        variant new none -> weight 10",
        "record-revision  endpoint/churn        revision 2 is live",
    ]


def test_of_a_merge_only_what_the_pull_request_brings_counts(repository: Checkout) -> None:
    """As the forge checks it out: its first parent is the branch that is merged into."""
    repository.git("checkout", "-q", "-b", "topic")
    repository.write("ml/specs/other.yaml", endpoint(STABLE, name="other"))
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE.replace("90", "70")))
    repository.commit()
    repository.git("merge", "-q", "--no-edit", "topic")
    plan = against(repository, "HEAD^1")
    assert {action.about.name for action in plan if action.about.name} == {"other"}
    assert {action.about.name for action in against(repository, "HEAD^2")} == {"churn"}


def test_a_trained_version_stays_as_it_is(repository: Checkout) -> None:
    repository.write("ml/specs/all.yaml", job(1, rounds=41) + endpoint(STABLE))
    (problem,) = against(repository).refused
    assert problem.what == "hyperparameters.num_round is 41, but version 1 was trained with 40"
    assert str(problem.where) == "specs/all.yaml:7:30"


def test_keys_of_callers_are_neither_needed_nor_read(repository: Checkout) -> None:
    repository.write("ml/sagespec.yaml", SETTINGS + CALLERS)
    repository.commit()
    assert (against(repository).text(), against(repository).refused) == ("", ())
    with Project.open(repository.folder / "ml") as project:
        repository.write("ml/sagespec.yaml", SETTINGS + CALLERS.replace("NOT_SET_HERE", "NOR_THIS"))
        assert project.plan_against("HEAD").text() == "set-doors  gateway  key of shop changed"


def test_what_git_ignores_is_of_this_machine_alone(repository: Checkout) -> None:
    script = "---\napiVersion: sagespec/v1\nkind: TrainingJob\nname: mine\nversion: 1\nframework: sklearn\n"
    repository.write("ml/specs/script.yaml", script + "entry_point: train.py\nsource_dir: ../code\nchannels: {}\n")
    repository.write("ml/code/train.py", "print(1)\n")
    repository.commit()
    repository.write("ml/code/old.pyc", "compiled")
    assert against(repository).refused == ()
    repository.write("ml/code/helper.py", "new and not ignored")
    assert "code differs from what version 1 was trained with: helper.py added" in str(against(repository).refused[0])


def test_what_was_removed_is_said(repository: Checkout) -> None:
    repository.write("ml/specs/more.yaml", endpoint(STABLE, name="more"))
    repository.commit()
    (repository.folder / "ml/specs/more.yaml").unlink()
    plan = against(repository)
    assert plan.text() == ""
    assert "endpoint/more" in plan.notes[0]


def test_the_policy_of_the_commit_decides_and_a_pull_request_cannot_change_it(repository: Checkout) -> None:
    refusing = "#!/bin/sh\necho not now\nexit 1\n"
    repository.write("ml/sagespec.yaml", SETTINGS + "policy: {command: [sh, policy.sh]}\n")
    repository.write("ml/policy.sh", refusing)
    repository.commit()
    repository.write("ml/policy.sh", "touch was-run\n")
    repository.write("ml/sagespec.yaml", SETTINGS + "policy: {command: [touch, was-run]}\n")
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE.replace("90", "70")))
    (problem,) = against_branch(repository).refused
    assert (problem.what, problem.why) == ("the policy does not allow this plan", "not now")
    assert not list(repository.folder.rglob("was-run"))


@pytest.mark.parametrize("renamed", ["project", "environment"])
def test_to_rename_something_is_no_way_around_the_policy(repository: Checkout, renamed: str) -> None:
    settings = SETTINGS + "policy: {command: [sh, policy.sh]}\n"
    repository.write("ml/sagespec.yaml", settings)
    repository.write("ml/policy.sh", "echo not now\nexit 1\n")
    repository.write("ml/environments/prod.yaml", "apiVersion: sagespec/v1\nkind: Environment\nname: prod\n")
    repository.commit()
    (repository.folder / "ml/environments/prod.yaml").unlink()
    live = "apiVersion: sagespec/v1\nkind: Environment\nname: live\nproject: {name: acme-prod}\n"
    repository.write("ml/environments/live.yaml", live)
    if renamed == "project":
        repository.write("ml/sagespec.yaml", settings.replace("name: acme", "name: other"))
    with Project.open(repository.folder / "ml", environment="live" if renamed == "environment" else "") as project:
        plan = project.plan_against("HEAD")
    assert "everything is new" in plan.notes[0]
    assert [problem.why for problem in plan.refused] == ["not now"]


def test_specs_in_a_submodule_are_read_at_its_commits(repository: Checkout, tmp_path: Path) -> None:
    inner = Checkout.made(tmp_path / "inner")
    inner.write("all.yaml", job(1) + endpoint(STABLE))
    inner.commit()
    repository.git("rm", "-q", "-r", "ml/specs")
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.folder), "ml/specs")
    repository.commit()
    assert not list(against_branch(repository))
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE.replace("90", "70")))
    assert "weight of stable 90 -> 70" in against_branch(repository).text()
    Checkout(repository.folder / "ml/specs").commit()
    assert "weight of stable 90 -> 70" in against_branch(repository).text()
    repository.commit()
    assert not list(against_branch(repository))


def test_a_model_that_no_spec_has_is_taken_for_there(repository: Checkout) -> None:
    repository.write("ml/specs/all.yaml", endpoint(STABLE))
    repository.commit()
    assert against(repository).text() == ""
    repository.write("ml/specs/all.yaml", endpoint(STABLE, NEW))
    plan = against(repository)
    assert "start-instance" in plan.text()
    assert plan.notes == ("job/churn@2 is in no spec: whether the store has its model is not known here",)


def test_the_first_commit_of_a_project_makes_all_of_it(repository: Checkout) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("mv", "ml", "other")
    repository.write("ml/sagespec.yaml", SETTINGS)
    repository.write("ml/specs/all.yaml", job(1))
    repository.commit()
    plan = against(repository, "HEAD^")
    assert plan.text() == ""
    with Project.open(repository.folder / "other") as project:
        plan = project.plan_against(first)
    assert plan.notes[0] == f"there is no sagespec.yaml at {first[:12]}, so everything is new"
    assert "run-job" in plan.text()


def test_what_is_wrong_at_the_commit_counts_as_not_there(repository: Checkout) -> None:
    repository.write("ml/specs/wrong.yaml", endpoint("nmae: x, model: churn@1", name="mended"))
    repository.commit()
    repository.write("ml/specs/wrong.yaml", endpoint("name: x, model: churn@1", name="mended"))
    plan = against(repository)
    assert {action.about.name for action in plan} == {"mended"}
    assert "what is wrong there counts as not there" in plan.notes[0]
    repository.write("ml/specs/wrong.yaml", "{")
    with pytest.raises(SpecError) as raised:
        against(repository)
    assert str(raised.value.problems[0].where).startswith("specs/wrong.yaml:1:")


def test_a_commit_that_git_does_not_have_is_no_traceback(repository: Checkout, tmp_path: Path) -> None:
    for ref in ("nowhere", "--help", "HEAD^1"):
        with pytest.raises(WorldError, match="git knows no commit"):
            against(repository, ref)
    repository.commit()
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{repository.folder}", tmp_path / "shallow"], check=True)
    with pytest.raises(WorldError, match="git knows no commit HEAD\\^1"):
        against(Checkout(tmp_path / "shallow"), "HEAD^1")


def test_outside_of_a_repository_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "sagespec.yaml").write_text(SETTINGS)
    (tmp_path / "specs").mkdir()
    with Project.open(tmp_path) as project, pytest.raises(WorldError, match="not a git repository"):
        project.plan_against("HEAD")


def stored(project: Project, status: JobStatus, **more: Any) -> None:
    """churn@1 has ended, by the spec that is there."""
    found, _ = desired(project.parts, check_paths=False)
    manifest = as_if_trained(found.jobs[0], "acme", datetime.now(UTC))
    project.parts.records.write_manifest(manifest.model_copy(update={"status": status, **more}))


def test_a_job_that_has_failed_is_not_as_if_it_were_trained(repository: Checkout) -> None:
    with Project.open(repository.folder / "ml") as project:
        stored(project, JobStatus.FAILED)
        assert project.plan_against("HEAD").text() == ""
        repository.write("ml/specs/all.yaml", job(1, rounds=41) + endpoint(STABLE))
        plan = project.plan_against("HEAD")
    assert plan.refused == ()
    assert "run-job" in plan.text()


def test_what_a_new_version_is_stands_beside_the_version_before(repository: Checkout) -> None:
    """The usual way to retrain: the version is raised where it stands."""
    repository.write("ml/data/train.csv", "1,2\n")
    with Project.open(repository.folder / "ml") as project:
        found, _ = desired(project.parts)
        channel = found.jobs[0].channels[0]
        inputs = {"train": input_of(channel, contents_of(channel, project.root))}
        stored(project, JobStatus.COMPLETED, metrics={"validation:auc": 0.797123456}, inputs=inputs)
        repository.write("ml/specs/all.yaml", job(2, rounds=60) + endpoint("name: stable, model: churn@2, weight: 90"))
        version = "job/churn@2 differs from churn@1 in: hyperparameters.num_round 40 -> 60"
        standing = " (churn@1: validation:auc 0.797123, live in endpoint/churn/stable)"
        (told,) = project.plan_against("HEAD").versions
        assert told.text == version + standing
        repository.write("ml/data/train.csv", "1,2\n3,4\n")
        (told,) = project.plan_against("HEAD").versions
        assert told.text == version + ", data of channel train" + standing
        assert told.as_json() == {
            "about": "job/churn@2",
            "before": "job/churn@1",
            "changes": [
                {"field": "hyperparameters.num_round", "old": "40", "new": "60"}
                | {"file": "specs/all.yaml", "line": 7, "column": 30}
            ],
            "data": ["train"],
            "metrics": {"validation:auc": 0.797123456},
            "serves": ["endpoint/churn/stable"],
        }


def test_a_new_version_in_a_pull_request_of_a_fork_shows_what_its_spec_says(repository: Checkout) -> None:
    repository.write("ml/specs/new.yaml", job(2, rounds=60))
    (told,) = against(repository).versions
    assert told.text == (
        "job/churn@2 differs from churn@1 in: hyperparameters.num_round 40 -> 60"
        " (churn@1: live in endpoint/churn/stable)"
    )
    text = plan_markdown(against(repository))
    row = "| `job/churn@2` | `churn@1` | `hyperparameters.num_round 40 -> 60` | `live in endpoint/churn/stable` |"
    assert row in text


def test_variables_that_change_are_named_and_their_values_are_not(repository: Checkout) -> None:
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE + ", environment: {LOG: info, URL: secret-1}"))
    repository.commit()
    changed = ", environment: {LOG: info, URL: secret-2, HOST: secret-3}"
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE + changed))
    plan = against(repository)
    text = plan_markdown(plan)
    assert "environment.HOST of stable added" in text
    assert "environment.URL of stable changed" in text
    assert "secret-" not in text + saved(plan)


def test_what_is_suspended_is_held_back_as_in_any_plan(repository: Checkout) -> None:
    with Project.open(repository.folder / "ml") as project:
        project.suspend("endpoint/churn", reason="odd figures")
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE.replace("90", "70")))
    plan = against(repository)
    assert plan.actions == ()
    (suspended,) = plan.suspended
    assert [str(one.about) for one in suspended.held] == ["endpoint/churn", "endpoint/churn"]
    assert plan.notes == ()


def test_where_the_store_does_not_answer_it_says_that_suspensions_are_not_known(repository: Checkout) -> None:
    repository.write("ml/sagespec.yaml", f"{SETTINGS}store: s3://acme/store\n")
    repository.commit()
    repository.write("ml/specs/all.yaml", job(1) + endpoint(STABLE.replace("90", "70")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_MAX_ATTEMPTS", "1")):
            patch.setenv(name, value)
        plan = against(repository)
    assert plan.actions
    assert plan.notes[1:] == ("whether something is suspended is not known: the store was not asked",)
