"""The action with the real sagespec, from a wrong spec to drift."""

from __future__ import annotations

import re
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.workflows.github import ROOT, Api, Runner


@pytest.mark.slow
def test_a_project_is_planned_approved_applied_and_watched_for_drift(
    runner: Runner, api: Api, project_name: str
) -> None:
    """As specs.yml and drift.yml do it, on real processes; what was applied lives on after the job."""
    runner.script("sagespec", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m sagespec "$@"')
    workspace = runner.folder / "workspace"
    runner.by_hand("sagespec", "init")
    port = free_port()
    settings = f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\ngateway: {{port: {port}}}\n"
    (workspace / "sagespec.yaml").write_text(settings)
    spec = workspace / "specs" / "churn.yaml"

    spec.write_text(spec.read_text().replace("weight: 90", "weigth: 90"))
    wrong = runner.run(command="validate", comment="true")
    assert wrong.outcome == "failure"
    assert re.search(r"^::error file=specs/churn\.yaml,line=\d+", wrong.log, re.MULTILINE)
    assert 'did you mean "weight"?' in api.comments[0]["body"]
    spec.write_text(spec.read_text().replace("weigth: 90", "weight: 90"))

    plan = runner.run(runtime="process", engine="elsewhere", comment="true")
    assert (plan.outputs["exit_code"], plan.outputs["changed"]) == ("2", "2")
    assert "everything counts as new" in api.comments[0]["body"]
    try:
        preview = runner.run(runtime="process")
        applied = runner.run(command="apply", runtime="process", expect_digest=preview.outputs["plan_digest"])
        assert applied.outcome == "success", applied.log
        assert "everything is up to date" in applied.summary
        assert _tracked_processes(runner) == []
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/endpoints/churn/invocations",
            data=b"3,5,80.0,0",
            headers={"Content-Type": "text/csv"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert 0 <= float(answer.read()) <= 1
        assert runner.run(runtime="process", issue="true").outputs["changes"] == "false"
        assert api.issues == []

        spec.write_text(spec.read_text().replace("num_round: 40", "num_round: 50"))
        refused = runner.run(runtime="process", comment="true")
        assert (refused.outcome, refused.outputs["refused"]) == ("failure", "1")
        assert "num_round is 50, but version 1 was trained with 40" in api.comments[0]["body"]
    finally:
        runner.by_hand("sagespec", "destroy", "--yes", "--runtime", "process")
    spec.write_text(spec.read_text().replace("num_round: 50", "num_round: 40"))
    runner.run(runtime="process", issue="true")
    assert "start-instance" in api.issues[0]["body"]
    assert len(api.comments) == 1


def _tracked_processes(runner: Runner) -> list[str]:
    """Processes that a runner would kill at the end of the job: those that carry its variable."""
    mark = f"RUNNER_TRACKING_ID={runner.environment()['RUNNER_TRACKING_ID']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().decode())
    return found
