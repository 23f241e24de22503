"""specs.yml and drift.yml: which jobs run for which event, and where."""

from __future__ import annotations

from typing import Any

from tests.workflows.github import FROM_A_FORK, PULL_REQUEST, REPOSITORY, ROOT, WORKFLOWS, evaluate, is_wanted, read


def jobs_and_steps(event_name: str, event: dict[str, Any], ref: str, **variables: str) -> dict[str, list[str]]:
    """Which jobs of specs.yml run for an event, and which of their steps."""
    github = {"event_name": event_name, "event": event, "ref": ref, "repository": REPOSITORY}
    contexts = {"github": github, "vars": variables, "needs": {"preview": {"outputs": {"changes": "true"}}}}
    jobs = read(ROOT / ".github" / "workflows" / "specs.yml")["jobs"]
    wanted = {name: job for name, job in jobs.items() if is_wanted(job, contexts)}
    wanted = {name: job for name, job in wanted.items() if job.get("needs", "preview") in {"preview", *wanted}}
    if "preview" not in wanted:
        wanted.pop("apply", None)  # needs it
    return {name: [s["name"] for s in job["steps"] if is_wanted(s, contexts)] for name, job in wanted.items()}


ROLES = {"AWS_PLAN_ROLE": "arn:plan", "AWS_APPLY_ROLE": "arn:apply"}
MACHINE = {"SAGESPEC_RUNNER": '["self-hosted", "sagespec"]'}


def test_a_pull_request_is_planned_on_a_hosted_runner() -> None:
    jobs = jobs_and_steps("pull_request", PULL_REQUEST, "refs/pull/7/merge", **ROLES, **MACHINE)
    assert jobs.keys() == {"plan"}
    assert jobs["plan"][-3:] == ["Validate", "Assume the role that reads the store", "Plan"]


def test_a_pull_request_from_a_fork_is_validated_and_planned_and_gets_at_nothing() -> None:
    jobs = jobs_and_steps("pull_request", FROM_A_FORK, "refs/pull/7/merge", **ROLES, **MACHINE)
    assert jobs == {"plan": ["Check out", "Make the example data", "Validate", "Plan"]}


def test_a_pull_request_is_planned_against_the_branch_it_is_into() -> None:
    steps = {step["name"]: step for step in read(ROOT / ".github" / "workflows" / "specs.yml")["jobs"]["plan"]["steps"]}
    assert steps["Plan"]["with"]["against"] == "HEAD^1"
    assert steps["Check out"]["with"]["fetch-depth"] == "2", "a checkout of the merge alone has no HEAD^1"


def test_main_is_applied_where_there_is_a_machine() -> None:
    for event_name in ("push", "workflow_dispatch"):
        jobs = jobs_and_steps(event_name, {}, "refs/heads/main", **MACHINE)
        assert list(jobs) == ["preview", "apply"]
        assert jobs["apply"][-1] == "Apply"
        assert jobs_and_steps(event_name, {}, "refs/heads/main") == {}
    assert jobs_and_steps("workflow_dispatch", {}, "refs/heads/experiment", **MACHINE) == {}


def test_nothing_from_a_pull_request_runs_on_the_machine_and_checkout_leaves_the_store_alone() -> None:
    for file in WORKFLOWS:
        for name, job in read(file)["jobs"].items():
            if "SAGESPEC_RUNNER" not in job["runs-on"]:
                continue
            assert "refs/heads/main" in job["if"] or job["needs"] == "preview", name
            labels = evaluate(job["runs-on"].removeprefix("${{").removesuffix("}}").strip(), {"vars": MACHINE})
            assert labels == ["self-hosted", "sagespec"]
            checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@"))
            assert checkout["with"]["clean"] == "false", name


def test_applies_wait_for_each_other_and_are_not_cancelled() -> None:
    job = read(ROOT / ".github" / "workflows" / "specs.yml")["jobs"]["apply"]
    assert job["concurrency"] == {"group": "specs-apply-production", "cancel-in-progress": "false"}
    assert job["environment"] == "production"
