"""docs/split.md: its spec, its plan, its client."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest

from tests.docs.pages import ROOT, blocks
from tests.scenarios.specs import job
from tests.scenarios.workspace import Workspace

PAGE = ROOT / "docs" / "split.md"


def test_the_page_on_split_traffic_is_true(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")
    spec, lending = blocks(PAGE, "yaml")
    (said,), (client_text,) = blocks(PAGE, "text"), blocks(PAGE, "python")
    jobs = (job(1) + job(2)).replace("name: model", "name: churn")

    def write(text: str) -> None:
        workspace.write(jobs + "---\n" + text)

    write(spec)
    workspace.run("apply")
    names: dict[str, Any] = {"boto3": boto3}
    exec(client_text.replace("8080", str(workspace.port)), names)  # the page's own
    client = names["client"]

    def variants() -> list[str]:
        asked = (
            client.invoke_endpoint(EndpointName="churn", Body=b"1", CustomAttributes=f"user={n}") for n in range(200)
        )
        return [str(answer["InvokedProductionVariant"]) for answer in asked]

    before = variants()
    assert set(before) == {"stable", "candidate"}
    assert "by attribute user" in workspace.run("status").stdout

    edited = spec.replace("90", "80").replace("weight: 10", "weight: 20")
    write(edited)
    plan = re.sub(r" +", " ", workspace.run("plan", code=None).stdout)
    assert all(re.sub(r" +", " ", line) in plan for line in said.splitlines()), plan
    (routes, _) = workspace.json("plan", code=None)["actions"]
    assert abs(routes["cause"]["callers_moved"] - 0.1) < 1e-9
    workspace.run("apply")
    moves = {(old, new) for old, new in zip(before, variants(), strict=True) if old != new}
    assert moves == {("stable", "candidate")}

    write(edited + lending)
    assert "when_down fail -> spread" in workspace.run("plan", code=None).stdout
    workspace.run("apply")
    (endpoint,) = workspace.json("status")["endpoints"]
    assert endpoint["key"] == "attribute user"
    changes = workspace.json("history", "endpoint/churn")["endpoints"][0]["revisions"]
    assert json.dumps(changes).count("when_down fail -> spread") == 1
