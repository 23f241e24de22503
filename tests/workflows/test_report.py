"""run.sh and report.py: what `command: plan` and `command: validate` report."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from sagespec.state.addresses import job_address
from tests.fakes import others
from tests.fakes.world import SimulatedWorld
from tests.workflows.github import HEAD, Runner
from tests.workflows.plans import JOBS, as_seen_from_elsewhere, endpoint, plan_in


def test_a_changed_weight_is_told_in_outputs_summary_and_log(runner: Runner, applied: SimulatedWorld) -> None:
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))

    ended = runner.run()

    assert runner.arguments == ["plan --exit-code --output markdown", "plan --output json"]
    assert ended.outcome == "success"
    assert {name: ended.outputs[name] for name in ("exit_code", "changes", "changed", "refused", "unchanged")} == {
        "exit_code": "2",
        "changes": "true",
        "changed": "1",
        "refused": "0",
        "unchanged": "3",
    }
    assert int(ended.outputs["actions"]) == len(ended.json()["actions"])
    assert ended.summary.startswith("### sagespec plan: 1 to route; 3 unchanged\n")
    reasons = "`weight of stable 90 -> 70`<br>`weight of candidate 10 -> 30`"
    assert f"| `endpoint/churn` | 1 to route | {reasons} |" in ended.summary
    assert "set-routes" in ended.summary
    assert f"digest `{ended.outputs['plan_digest']}`" in ended.summary
    assert "`sagespec apply` would do exactly this" in ended.summary
    assert HEAD in ended.summary
    assert "https://github.com/acme/models/actions/runs/42" in ended.summary
    assert "weight of candidate 10 -> 30" in ended.log
    assert ended.report == ended.summary


def test_nothing_to_do_is_no_change(runner: Runner, applied: SimulatedWorld) -> None:
    runner.plans(plan_in(applied, *JOBS, endpoint(), endpoint("other")))

    ended = runner.run()

    assert (ended.outputs["exit_code"], ended.outputs["changes"]) == ("0", "false")
    assert "### sagespec plan: nothing to do; 4 unchanged" in ended.summary


@pytest.mark.parametrize("running", [None, [{"about": "job/churn@3", "needed_by": ["endpoint/churn"]}]])
def test_the_plan_of_an_older_sagespec_is_reported(
    runner: Runner, applied: SimulatedWorld, running: list[dict[str, Any]] | None
) -> None:
    plan = plan_in(applied, *JOBS, endpoint(), endpoint("other"))
    fields = plan.as_json() | {"running": running}
    if running is None:
        del fields["running"]
    runner.sagespec(fields, markdown=f"### sagespec plan: nothing to do\n<sub>digest `{plan.digest}`</sub>\n")

    ended = runner.run()

    assert (ended.outcome, ended.outputs["changes"]) == ("success", "false")


def test_an_endpoint_that_waits_for_another_runs_job_is_a_change(runner: Runner, applied: SimulatedWorld) -> None:
    ada = others.ada(applied.clock.now())
    others.follow(applied.records.store, job_address("churn", 3), ada)
    newer = endpoint() | {"variants": [{"name": "stable", "model": "churn@3"}]}
    runner.plans(plan_in(applied, *JOBS, JOBS[0] | {"version": 3}, newer, endpoint("other")))

    ended = runner.run()

    assert (ended.outputs["changes"], ended.outputs["changed"], ended.outputs["actions"]) == ("true", "1", "0")
    assert "### sagespec plan: nothing to do; 1 running elsewhere; 3 unchanged" in ended.summary


def test_what_is_refused_comes_first_and_marks_the_line_of_the_spec(runner: Runner, applied: SimulatedWorld) -> None:
    changed = {**JOBS[1], "hyperparameters": {"num_round": 200}}
    (runner.folder / "workspace" / "ml").mkdir()
    plan = plan_in(applied, JOBS[0], changed, endpoint(weight=30), endpoint("other"))
    runner.plans(plan, in_folder="ml")

    ended = runner.run(working_directory="ml")

    assert ended.outcome == "failure"
    assert (ended.outputs["exit_code"], ended.outputs["changes"], ended.outputs["refused"]) == ("1", "true", "1")
    assert ended.summary.index("**Refused**") < ended.summary.index("weight of stable 90 -> 70")
    assert "fix: `set version: 3" in ended.summary
    place = r"^::error file=ml/specs/test\.yaml,line=\d+,col=\d+,title=job/churn@2::hyperparameters\.num_round is 200"
    assert re.search(place, ended.log, re.MULTILINE)

    runner.run(command="apply", expect_digest=ended.outputs["plan_digest"])
    assert runner.arguments[-1].startswith("apply"), "what is refused does not hold up the rest"


def test_elsewhere_only_what_the_specs_change_counts(runner: Runner, applied: SimulatedWorld) -> None:
    """On a runner that is not the machine nothing runs; without this, every endpoint would seem to be new."""
    plan = plan_in(as_seen_from_elsewhere(applied), *JOBS, endpoint(weight=30), endpoint("other"))
    assert {action.about.name for action in plan if action.about.name} == {"churn", "other"}
    runner.plans(plan.of_specs())

    ended = runner.run(engine="elsewhere")

    assert runner.arguments == ["plan --elsewhere --exit-code --output markdown", "plan --elsewhere --output json"]

    assert (ended.outputs["changed"], ended.outputs["unchanged"]) == ("1", "3")
    assert "weight of candidate 10 -> 30" in ended.summary
    assert "set-routes" in ended.summary
    changed, _, unchanged = ended.summary.partition("3 unchanged</summary>")
    assert not re.search("endpoint/other|container is gone|start-", changed)
    assert "endpoint/other" in unchanged
    assert "it does not know whether everything that was applied is still running" in ended.summary


def test_a_pull_request_is_planned_against_a_commit(runner: Runner, applied: SimulatedWorld) -> None:
    plan = plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other"))
    runner.plans(replace(plan, against="c0ffee" * 6 + "c0ff"))

    ended = runner.run(against="HEAD^1", engine="elsewhere")

    assert runner.arguments[0].startswith("plan --against HEAD^1 ")
    assert f"as if those of {'c0ffee' * 6}c0ff were applied" in ended.summary


def test_an_environment_is_named_to_the_command_and_tells_its_report_apart(
    runner: Runner, applied: SimulatedWorld
) -> None:
    for environment in ("staging", "prod", "prod-eu"):
        runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
        ended = runner.run(environment=environment)
        assert runner.arguments[-2].startswith(f"plan --env {environment} ")
        assert ended.report.startswith(f"### sagespec plan ({environment}): 1 to route")


def test_elsewhere_without_a_change_is_nothing_to_do(runner: Runner, applied: SimulatedWorld) -> None:
    runner.plans(plan_in(as_seen_from_elsewhere(applied), *JOBS, endpoint(), endpoint("other")).of_specs())

    ended = runner.run(engine="elsewhere")

    assert (ended.outputs["changes"], ended.outputs["unchanged"]) == ("false", "4")
    assert "nothing to do" in ended.summary


def test_elsewhere_a_changed_rollout_setting_counts(runner: Runner, applied: SimulatedWorld) -> None:
    changed = {**endpoint(), "rollout": {"min_healthy": "9s"}}
    runner.plans(plan_in(as_seen_from_elsewhere(applied), *JOBS, changed, endpoint("other")).of_specs())

    assert runner.run(engine="elsewhere").outputs["changed"] == "1"


def test_elsewhere_without_any_record_it_is_said_that_all_counts_as_new(runner: Runner) -> None:
    runner.plans(plan_in(SimulatedWorld(), *JOBS, endpoint()).of_specs())

    ended = runner.run(engine="elsewhere")

    assert ended.outputs["changed"] == "3"
    assert "No apply has left a record" in ended.summary


def test_texts_of_specs_can_neither_format_nor_mention_nor_command(runner: Runner, applied: SimulatedWorld) -> None:
    plan = plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other"))
    evil = "x\n::error::forged\n```\n@everyone <img src=x> [link](http://x)\n```"
    cause = replace(plan.actions[0].cause, note=evil)
    evil_plan = replace(plan, actions=(replace(plan.actions[0], cause=cause), *plan.actions[1:]), notes=(evil,))
    runner.plans(evil_plan)

    ended = runner.run()

    outside = re.sub(r"`[^`\n]*`", "", re.sub(r"^~~~~text\n.*?^~~~~$", "", ended.summary, flags=re.M | re.S))
    assert "@everyone" in ended.summary
    assert not re.search("@everyone|<img|forged", outside)
    token = re.search(r"^::stop-commands::(\w+)$", ended.log, re.M)
    assert token
    assert ended.log.index(token[0]) < ended.log.index("error::forged") < ended.log.index(f"\n::{token[1]}::")


def test_a_huge_plan_fits_into_a_comment_and_a_summary(runner: Runner) -> None:
    endpoints = [endpoint(f"endpoint-{number}") for number in range(300)]
    runner.plans(plan_in(SimulatedWorld(), *JOBS, *endpoints))

    ended = runner.run()

    assert len(ended.report) < 65_536
    assert len(ended.summary.encode()) < 1 << 20
    assert ended.outputs["changed"] == "303"
    assert "2 to train, 601 to start, 300 to route" in ended.report
    assert re.search(r"… and \d+ more rows", ended.report)
    assert ended.report.count("<details>") == ended.report.count("</details>")
    assert "endpoint/endpoint-299" in ended.log, "what is left out of the text is in the log"


def test_a_text_that_is_not_of_the_plan_with_the_digest_is_not_reported(
    runner: Runner, applied: SimulatedWorld
) -> None:
    """Text and JSON are made one after the other: what is approved must be what was read."""
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=40), endpoint("other")))
    another = (runner.folder / "output").read_text()
    runner.plans(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")))
    (runner.folder / "output").write_text(another)

    ended = runner.run()

    assert (ended.outcome, ended.outputs["exit_code"], ended.outputs["plan_digest"]) == ("failure", "1", "")
    assert "The plan changed while it was being reported" in ended.summary


def test_wrong_specs_fail_the_step_and_are_told(runner: Runner) -> None:
    runner.sagespec(
        exit_code=1,
        errors="::error file=specs/churn.yaml,line=4::unknown field\n"
        "specs/churn.yaml:4:1  job/churn@3: unknown field\n",
    )

    for command in ("validate", "plan"):
        ended = runner.run(command=command)

        assert ended.outcome == "failure"
        assert ended.outputs["exit_code"] == "1"
        assert ended.outputs["changes"] == ""
        assert f"### sagespec {command}: failed" in ended.summary
        assert "specs/churn.yaml:4:1  job/churn@3: unknown field" in ended.summary
        assert "::error file=specs/churn.yaml,line=4::unknown field" in ended.log
        assert "::error" not in ended.summary


def test_valid_specs_are_counted(runner: Runner) -> None:
    runner.sagespec("valid: 2 jobs and 1 endpoint in 1 file\nnote  the store was not asked\n")

    ended = runner.run(command="validate", specs="specs/a.yaml\nspecs/more of them\n", runtime="process")

    assert runner.arguments == ["validate -f specs/a.yaml -f specs/more of them --runtime process --output plain"]
    assert ended.outcome == "success"
    assert "valid: 2 jobs and 1 endpoint in 1 file\nnote  the store was not asked" in ended.summary
