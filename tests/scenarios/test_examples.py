"""The examples that are shipped: specs/ and the README's way of calling them, on real data and real engines."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests import built
from tests.scenarios.workspace import REPOSITORY, Workspace


@pytest.fixture
def examples(workspace: Workspace) -> Workspace:
    """specs/ of the repository, with its data, in the workspace."""
    if workspace.runtime == "docker":
        built.ready("linear-learner", "xgboost")
    shutil.copytree(
        REPOSITORY / "specs", workspace.root / "specs", dirs_exist_ok=True, ignore=shutil.ignore_patterns("data")
    )
    subprocess.run([sys.executable, str(workspace.root / "specs" / "make_data.py")], check=True)
    return workspace


def client(workspace: Workspace) -> Any:
    """boto3 as anybody has it, told the gateway's address."""
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{workspace.port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_the_examples_train_and_both_variants_know_a_benign_sample(examples: Workspace) -> None:
    assert "2 jobs" in examples.run("validate").stdout
    examples.run("apply")
    rows = (examples.root / "specs/data/tumor/validation.csv").read_text().splitlines()
    runtime = client(examples)
    try:
        right = {"linear": 0, "boosted": 0}
        for row in rows:
            label, features = row.split(",", 1)
            for variant in right:
                answer = runtime.invoke_endpoint(
                    EndpointName="tumor",
                    ContentType="text/csv",
                    Accept="text/csv",
                    Body=features.encode(),
                    TargetVariant=variant,
                )
                assert answer["InvokedProductionVariant"] == variant
                score = float(answer["Body"].read().decode().split(",")[0])
                right[variant] += (score > 0.5) == (float(label) == 1)
    finally:
        runtime.close()
    # Both are good at this problem; a model mixed up with another, or with its columns, would be far below.
    assert min(right.values()) > 0.9 * len(rows), right


def test_what_the_readme_says_of_three_edits_is_so(examples: Workspace) -> None:
    examples.run("apply")
    file = "specs/tumor.yaml"
    before = examples.containers()
    examples.edit("weight: 90", "weight: 50", file)
    examples.edit("weight: 10", "weight: 50", file)
    plan = examples.run("plan").stdout
    readme = (REPOSITORY / "README.md").read_text()
    for line in (line.strip() for line in plan.splitlines() if line.strip().startswith(("set-routes", "record-"))):
        assert line in readme, f"the README does not show this line of the plan: {line}"
    examples.run("apply")
    assert examples.containers() == before
    examples.edit("num_round: 50", "num_round: 80", file)
    refused = examples.run("plan", code=1)
    said = refused.stdout + refused.stderr
    expected = readme[readme.index("specs/tumor.yaml:") :].split("\n\n")[0]
    for line in expected.splitlines():
        assert line.strip() in said


def test_init_makes_a_project_that_works(workspace: Workspace) -> None:
    folder = workspace.root / "mine"
    subprocess.run(workspace.command("init", str(folder)), cwd=workspace.root, env=workspace.env, check=True)
    settings = folder / "sagespec.yaml"
    text, count = re.subn(r'(?m)^name: "mine"$', f"name: {workspace.name}", settings.read_text())
    assert count == 1
    settings.write_text(f"{text}\nruntime: {workspace.runtime}\ngateway: {{port: {workspace.port}}}\n")
    made = Workspace.__new__(Workspace)
    made.__dict__.update(workspace.__dict__ | {"root": folder})
    made.run("validate")
    made.run("apply")
    assert {state["state"] for state in made.json("status")["endpoints"]} == {"serving"}
    example = re.search(r"echo '(.+)' \| sagespec (invoke churn) -", made.run("invoke", "--help").stdout)
    assert example
    made.run(*example[2].split(), "--data", example[1])
    made.run("destroy", "--yes")
