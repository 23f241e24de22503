"""run.sh: what `command: apply` does."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.workflows.github import ACTION, Runner, read


@pytest.mark.parametrize(("exit_code", "word", "outcome"), [(0, "done", "success"), (1, "failed", "failure")])
def test_apply_is_shown_as_it_goes_and_told_in_the_summary(
    runner: Runner, exit_code: int, word: str, outcome: str
) -> None:
    runner.sagespec(
        "started  job/churn@3\n::group::job/churn@3\n", exit_code=exit_code, errors="trained  job/churn@3\n"
    )

    ended = runner.run(command="apply", args="--prune  --retry *", wait="5m")

    assert runner.arguments == ["apply --prune --retry * --wait 5m --output plain"]
    assert ended.outcome == outcome
    assert ended.outputs["exit_code"] == str(exit_code)
    assert f"### sagespec apply: {word}" in ended.summary
    assert "started  job/churn@3\ntrained  job/churn@3\n" in ended.summary
    assert "::group::" in ended.log
    assert "::group::" not in ended.summary


def test_cancelling_reaches_sagespec_and_what_it_started_is_not_the_runners_to_kill(runner: Runner) -> None:
    stand_in = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (os.write(1, b'stopped\\\\n'), os._exit(1)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    runner.script("sagespec", f'env\nexec {sys.executable} -c "{stand_in}"')
    action = read(ACTION / "action.yml")
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "run")
    inputs = {name: value.get("default", "") for name, value in action["inputs"].items()} | {"command": "apply"}

    process = runner.start(step, {"inputs": inputs})
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "ready\n":
            break
    process.send_signal(signal.SIGINT)  # to the entry process alone, as GitHub does
    rest = process.communicate(timeout=60)[0]

    assert rest.endswith("stopped\n")
    assert process.returncode == 1
    assert not any(line.startswith("RUNNER_TRACKING_ID") for line in [*lines, *rest.splitlines()])
    assert "stopped" in (Path(runner.step_outputs()["folder"]) / "log.txt").read_text()


def test_apply_expects_the_approved_plan(runner: Runner) -> None:
    runner.sagespec("", exit_code=65, errors="the plan has changed since it was approved, so nothing was done\n")

    ended = runner.run(command="apply", expect_digest="f00d")

    assert runner.arguments == ["apply --expect f00d --wait 10m --output plain"]
    assert ended.outcome == "failure"
    assert ended.outputs["exit_code"] == "1"
    assert "the plan has changed since it was approved, so nothing was done" in ended.summary


def test_another_command_is_wrong(runner: Runner) -> None:
    runner.sagespec()
    ended = runner.run(command="destroy")
    assert ended.outcome == "failure"
    assert "command is destroy" in ended.log
    assert not (runner.folder / "arguments").exists()
