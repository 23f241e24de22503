"""What .github holds: form and security, by the tools made for that."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.workflows.github import ACTION, ROOT, USERS_OF_ACTIONS, WORKFLOWS, read, tool


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", [ACTION / "action.yml"]),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_fit_githubs_schemas(schema: str, files: list[Path]) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", schema, *map(str, files)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_dependabot_looks_at_every_list_of_packages() -> None:
    updates = read(ROOT / ".github" / "dependabot.yml")["updates"]
    looked_at = [
        folder
        for update in updates
        if update["package-ecosystem"] == "pip"
        for pattern in update.get("directories", [update.get("directory")])
        for folder in (ROOT.glob(pattern.strip("/")) if pattern != "/" else [ROOT])
    ]
    files = [*(ROOT / "images").glob("**/requirements.txt"), ROOT / "pyproject.toml"]
    assert {file.parent for file in files} <= set(looked_at)


def test_zizmor_finds_nothing_even_as_an_auditor() -> None:
    command = [tool("zizmor"), "--offline", "--persona=auditor", "--strict-collection", "--collect=all", "--no-ignores"]
    audited = subprocess.run([*command, str(ROOT / ".github")], capture_output=True, text=True)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "No findings to report" in audited.stdout + audited.stderr


@pytest.mark.parametrize("file", USERS_OF_ACTIONS, ids=lambda file: file.name)
def test_actions_of_others_are_pinned_by_commit_with_their_version_beside(file: Path) -> None:
    for line in file.read_text().splitlines():
        if match := re.match(r"\s*(?:- )?uses: (.*)", line):
            assert re.fullmatch(r"\$/\S+|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", match[1]), line


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_jobs_have_no_more_than_they_say(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {}
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow["on"])
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert int(job["timeout-minutes"]) > 0, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", name


@pytest.mark.parametrize("file", USERS_OF_ACTIONS, ids=lambda file: file.name)
def test_no_expression_is_pasted_into_a_script(file: Path) -> None:
    content = read(file)
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    for step in (step for job in jobs for step in job["steps"]):
        assert "${{" not in step.get("run", ""), step["name"]


@pytest.mark.parametrize("name", ["specs.yml", "drift.yml"])
def test_every_job_that_plans_has_the_data_of_the_specs(name: str) -> None:
    (file,) = (file for file in WORKFLOWS if file.name == name)
    for job, content in read(file)["jobs"].items():
        names = [step["name"] for step in content["steps"]]
        assert names.index("Make the example data") == names.index("Check out") + 1, job
