"""The whole way from an answer to the commit, data and image behind it, and back."""

from __future__ import annotations

import subprocess

import pytest

from sagespec.errors import WorldError
from sagespec.state.manifest import Git
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


def git(workspace: Workspace, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", *who, *words], cwd=workspace.root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(workspace: Workspace, text: str) -> str:
    workspace.write(text)
    git(workspace, "add", "-A")
    git(workspace, "commit", "-q", "-m", "next")
    workspace.run("apply")
    return git(workspace, "rev-parse", "HEAD")


def test_an_answer_leads_to_commit_data_image_and_model_and_back(workspace: Workspace) -> None:
    git(workspace, "init", "-q")
    (workspace.root / ".gitignore").write_text(".sagespec\n")
    first = committed(workspace, job(1) + endpoint("stable model@1 1"))
    second = committed(workspace, job(1) + job(2) + endpoint("stable model@1 1", "other model@2 1"))
    with workspace.project() as project:
        answer = project.invoke("answers", b"1,2", variant="other")
        assert (answer.variant, answer.model) == ("other", "model@2")
        (trace,) = project.lineage(answer.model).traces
        assert trace.manifest is not None
        assert trace.manifest.git == Git(commit=second, dirty=False)
        assert trace.manifest.inputs["train"].source == "data/train.csv"
        assert [(s.variant, s.revision, s.weight, s.until) for s in trace.served] == [("other", 2, 1.0, None)]
        assert "endpoint/answers/other, revision 2" in str(project.lineage("model@2"))
        assert [str(one.job) for one in project.lineage("endpoint/answers").traces] == ["job/model@1", "job/model@2"]
        assert [str(one.job) for one in project.lineage("answers/stable").traces] == ["job/model@1"]
        with pytest.raises(WorldError, match=r"nothing in .* was made from a commit 0000"):
            project.lineage_of_commit("0000")
    found = workspace.json("lineage", "--of-commit", first[:8])
    assert (found["of"], [one["job"] for one in found["jobs"]]) == (first, ["job/model@1"])
    assert [(one["endpoint"], one["number"], one["status"]) for one in found["revisions"]] == [
        ("endpoint/answers", 1, "live")
    ]
    chart = workspace.run("lineage", "model@1", "--output", "mermaid").stdout
    assert chart.startswith("flowchart LR\n")
    assert 'at_answers__stable["endpoint/answers/stable"]' in chart
    assert f'"commit {first[:7]}"' in chart
    assert workspace.json("invoke", "answers", "--data", "1", "--variant", "stable")["model"] == "model@1"
    assert "name a job or an endpoint" in workspace.run("lineage", code=64).stderr
