"""docs/github-actions.md: its commands work, and it names everything there is."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.workflows.github import ACTION, DOCS, ROOT, WORKFLOWS, read, tool


def test_the_commands_of_the_docs_make_workflows_that_work_in_another_repository(tmp_path: Path) -> None:
    """The block is run as it stands; curl is one that finds this checkout."""
    block = re.search(r"```bash\n(commit=.*?)```", DOCS.read_text(), re.DOTALL)
    assert block
    curl = tmp_path / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(f'#!/bin/sh\nexec cat "{ROOT}/.github/${{2##*/.github/}}"\n')
    curl.chmod(0o755)
    path = f"{curl.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", block[1]], cwd=tmp_path, env={"PATH": path}, check=True)

    made = sorted((tmp_path / ".github" / "workflows").iterdir())
    assert [file.name for file in made] == ["drift.yml", "specs.yml"]
    checked = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "github-workflows", *map(str, made)], capture_output=True
    )
    assert checked.returncode == 0, checked.stdout
    for file in made:
        steps = [step for job in read(file)["jobs"].values() for step in job["steps"]]
        ours = [step["uses"] for step in steps if "actions/sagespec" in step.get("uses", "")]
        assert ours
        assert all(re.fullmatch(r"sagespec/sagespec/\.github/actions/sagespec@[0-9a-f]{40}", use) for use in ours)
        assert not any("run" in step for step in steps), "the data of the examples is ours"
        assert "$/" not in file.read_text()
        assert ".github/actions/sagespec/**" not in file.read_text()


def test_the_docs_name_every_input_and_output_and_variable() -> None:
    docs = DOCS.read_text()
    action = read(ACTION / "action.yml")
    used = {name for file in WORKFLOWS for name in re.findall(r"vars\.(\w+)", file.read_text())}
    assert used
    for name in (*action["inputs"], *action["outputs"], *used):
        assert f"`{name}`" in docs, name


def test_the_workflow_for_environments_is_one_and_gives_the_action_inputs_that_it_has(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(# \.github/workflows/environments\.yml\n.*?)```", DOCS.read_text(), re.DOTALL)
    file = tmp_path / "environments.yml"
    file.write_text(block)
    checked = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "github-workflows", str(file)], capture_output=True
    )
    assert checked.returncode == 0, checked.stdout
    workflow, inputs = read(file), read(ACTION / "action.yml")["inputs"]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"] if "/sagespec@" in step["uses"]]
    assert len(steps) == 4
    assert all(step["with"].keys() <= inputs.keys() for step in steps)
    plan = workflow["jobs"]["plan"]
    assert plan["permissions"]["pull-requests"] == "write", "without it there is no comment"
    assert plan["strategy"]["fail-fast"] == "false"


def test_an_environment_alone_is_a_change_that_is_planned_and_applied() -> None:
    events = read(ROOT / ".github" / "workflows" / "specs.yml")["on"]
    for event in ("pull_request", "push"):
        assert "environments/**" in events[event]["paths"]
