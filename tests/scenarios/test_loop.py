"""The loop as a person goes through it, on real engines: train, serve, edit, apply, look."""

from __future__ import annotations

import tarfile
from pathlib import Path

from sagespec.state.addresses import job_address
from sagespec.state.manifest import JobStatus
from sagespec.state.observed import ContainerState
from sagespec.state.revision import RevisionStatus
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


def two_variants(workspace: Workspace) -> None:
    specs = job(1) + job(2) + endpoint("stable model@1 90", "candidate model@2 10")
    workspace.write(specs)
    workspace.run("apply")


def test_specs_become_models_containers_and_answers(workspace: Workspace) -> None:
    two_variants(workspace)
    containers = workspace.containers()
    assert sorted(str(c.address) for c in containers) == [
        "endpoint/answers/candidate#0",
        "endpoint/answers/stable#0",
        "gateway",
    ]
    assert all(c.state is ContainerState.RUNNING for c in containers)
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.COMPLETED
    assert manifest.inputs["train"].bytes == (workspace.root / "data/train.csv").stat().st_size
    assert {"model", "output", "logs/algo-1"} <= manifest.artifacts.keys()
    for variant in ("stable", "candidate"):
        status, _, answered_by = workspace.invoke("answers", "hello", variant=variant)
        assert (status, answered_by) == (200, variant)


def test_a_second_apply_does_nothing(workspace: Workspace) -> None:
    two_variants(workspace)
    before = workspace.containers()
    result = workspace.json("apply")
    assert result["ok"]
    assert result["outcomes"] == []
    assert workspace.containers() == before
    assert workspace.run("plan", "--exit-code").returncode == 0


def test_an_edited_weight_is_one_route_change_and_touches_no_container(workspace: Workspace) -> None:
    two_variants(workspace)
    before = workspace.containers()
    workspace.edit("weight: 90", "weight: 70")
    plan = workspace.json("plan")
    assert [action["action"] for action in plan["actions"]] == ["set-routes", "record-revision"]
    assert workspace.run("plan", "--exit-code", code=2).returncode == 2
    workspace.run("apply")
    assert workspace.containers() == before
    with workspace.project() as project:
        (state,) = project.status().endpoints
    assert {v.name: round(v.share_live, 4) for v in state.variants} == {"stable": 0.875, "candidate": 0.125}


def test_an_edited_model_starts_awaits_routes_drains_removes(workspace: Workspace) -> None:
    two_variants(workspace)
    before = workspace.names()
    workspace.edit("model: model@2", "model: model@1")
    verbs = [action["action"] for action in workspace.json("plan")["actions"]]
    assert verbs == [
        "start-instance",
        "await-healthy",
        "set-routes",
        "record-revision",
        "drain-instance",
        "remove-instance",
    ]
    workspace.run("apply")
    after = workspace.names()
    assert after["endpoint/answers/stable#0"] == before["endpoint/answers/stable#0"]
    assert after["endpoint/answers/candidate#0"] != before["endpoint/answers/candidate#0"]
    assert len(after) == 3


def test_an_edited_hyperparameter_of_a_trained_version_is_refused_with_the_place(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{lines: 1}"))
    workspace.run("apply")
    workspace.edit("lines: 1", "lines: 2")
    result = workspace.run("plan", code=None)
    said = result.stdout + result.stderr
    assert "specs/all.yaml:7:" in said
    assert "hyperparameters.lines is 2, but version 1 was trained with 1" in said
    assert "set version: 2" in said
    workspace.edit("version: 1", "version: 2")
    workspace.run("apply")
    workspace.edit("version: 2", "version: 1")
    assert "set version: 3;" in workspace.run("plan", code=None).stdout, "the store has version 2"


def test_a_failed_job_keeps_its_reason_and_logs_and_is_run_again_only_when_asked(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{exit_code: 3, failure: the data is too sad, lines: 3}"))
    first = workspace.run("apply", code=1)
    assert "the data is too sad" in first.stdout + first.stderr
    assert workspace.containers() == ()
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert (manifest.status, manifest.exit_codes) == (JobStatus.FAILED, {"algo-1": 3})
    again = workspace.json("apply", code=1)
    assert again["outcomes"] == []
    assert "line=2" in workspace.run("logs", "job/model@1").stdout
    retried = workspace.json("apply", "--retry", code=1)
    assert [outcome["result"] for outcome in retried["outcomes"]] == ["failed"]


def test_an_unhealthy_revision_leaves_the_old_one_serving(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")
    before = workspace.names()
    workspace.write(
        job(1)
        + endpoint(
            'only model@1 1 environment: {ECHO_CRASH: "0.2", ECHO_START_DELAY: "9"}', rollout="{healthy_within: 20s}"
        )
    )
    result = workspace.run("apply", code=1)
    assert "exited" in result.stdout + result.stderr
    assert workspace.names() == before
    assert workspace.invoke("answers", "still there")[0] == 200
    revisions = workspace.records().history("answers")
    assert [revision.status for revision in revisions] == [RevisionStatus.LIVE, RevisionStatus.FAILED]
    again = workspace.json("apply", code=1)
    assert again["outcomes"] == []
    retried = workspace.json("apply", "--retry", code=1)
    assert [one["result"] for one in retried["outcomes"] if one["action"].startswith("await-healthy")] == ["failed"]
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")


def test_rollback_is_not_undone_by_the_next_apply(workspace: Workspace) -> None:
    two_variants(workspace)
    workspace.edit("model: model@2", "model: model@1")
    workspace.run("apply")
    workspace.run("rollback", "answers", "--reason", "it was worse")
    with workspace.project() as project:
        (state,) = project.status().endpoints
    assert state.state == "blocked"
    again = workspace.json("apply")
    assert again["outcomes"] == []
    history = workspace.records().history("answers")
    assert [revision.status.value for revision in history] == ["live", "rolled_back", "live"]
    assert history[-1].asked == history[0].asked


def test_prune_and_destroy_remove_what_was_asked_and_nothing_else(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1") + endpoint("only model@1 1", name="other"))
    workspace.run("apply")
    workspace.write(job(1) + endpoint("only model@1 1"))
    assert "endpoint/other is live but in no spec" in workspace.run("plan").stdout
    workspace.run("apply", "--prune")
    assert sorted(workspace.names()) == ["endpoint/answers/only#0", "gateway"]
    workspace.run("destroy", "--yes")
    assert workspace.containers() == ()
    assert workspace.records().all_jobs() == (job_address("model", 1),)


def test_several_hosts_train_one_model(workspace: Workspace) -> None:
    workspace.write(job(1, instances=2))
    workspace.run("apply")
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.exit_codes == {"algo-1": 0, "algo-2": 0}
    assert {"logs/algo-1", "logs/algo-2"} <= manifest.artifacts.keys()
    assert workspace.containers() == ()


def test_one_failing_host_fails_the_job_and_stops_the_others(workspace: Workspace) -> None:
    workspace.write(job(1, instances=2, hyperparameters="{sleep: 0.5, on_host: algo-2, exit_code: 4, failure: nope}"))
    workspace.run("apply", code=1)
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.FAILED
    assert manifest.exit_codes["algo-2"] == 4
    assert workspace.containers() == ()


def test_a_job_past_its_time_is_stopped_and_its_model_kept(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 60}") + "stopping: {max_runtime: 2s}\n")
    workspace.run("apply", code=1)
    manifest = workspace.records().manifests([job_address("model", 1)])[job_address("model", 1)]
    assert manifest.status is JobStatus.STOPPED
    assert manifest.reason.startswith("MaxRuntimeExceeded")
    assert "model" in manifest.artifacts


def test_the_model_archive_holds_its_files_at_the_root(workspace: Workspace, tmp_path: Path) -> None:
    workspace.write(job(1))
    workspace.run("apply")
    records = workspace.records()
    file = tmp_path / "model.tar.gz"
    records.store.download(records.job_key(job_address("model", 1), "model.tar.gz"), file)
    with tarfile.open(file) as archive:
        assert "echo.json" in archive.getnames()


def test_rollback_to_a_version_whose_spec_is_gone(workspace: Workspace) -> None:
    """A version is raised in place, so the spec of what one goes back to is seldom still there."""
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")
    first = workspace.names()
    workspace.edit("version: 1", "version: 2")
    workspace.edit("model@1", "model@2")
    workspace.run("apply")
    workspace.run("rollback", "answers")
    assert workspace.names() == first
    assert workspace.json("apply")["outcomes"] == []
    assert workspace.json("status")["endpoints"][0]["state"] == "blocked"
