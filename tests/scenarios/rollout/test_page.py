"""docs/rollouts.md does what it says: its specs and commands, with its waits cut short."""

from __future__ import annotations

import http.client
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.scenarios.workspace import Workspace

PAGE = ROOT / "docs" / "rollouts.md"
BODY = b"3,5,80.0,0"


@contextmanager
def callers(port: int) -> Iterator[Counter[int]]:
    """What the page's curl does, and what it is answered."""
    over, statuses = threading.Event(), Counter[int]()

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not over.wait(0.02):
            connection.request("POST", "/endpoints/churn/invocations", BODY, {"Content-Type": "text/csv"})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
        connection.close()

    assert BODY.decode() in PAGE.read_text()
    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


@pytest.fixture
def demo(workspace: Workspace) -> Workspace:
    """The project of `sagespec init`, in the workspace's folder."""
    if workspace.runtime == "docker":
        from tests import built

        built.ready("xgboost")
    other = workspace.root / "demo"
    workspace.run("init", "demo")
    for file in ("specs/churn.yaml", "data/churn/train.csv", "data/churn/validation.csv"):
        (workspace.root / file).parent.mkdir(parents=True, exist_ok=True)
        (other / file).rename(workspace.root / file)
    return workspace


def jobs_of(spec: Path) -> str:
    return spec.read_text().partition("---")[0]


@pytest.mark.slow
def test_a_better_model_goes_live_and_one_that_fails_is_taken_back(demo: Workspace) -> None:
    endpoint, bad_job, every_rule = blocks(PAGE, "yaml")
    assert "abort_when" in every_rule
    endpoint = re.sub("(wait|bake): 1m", r"\1: 4s", endpoint)
    spec = demo.root / "specs" / "churn.yaml"
    first = jobs_of(spec)
    second = first.replace("version: 1 ", "version: 2 ").replace("num_round: 40", "num_round: 60")
    jobs = f"{first}---\n{second}"

    spec.write_text(f"{first}---\n{endpoint}")
    demo.run("apply")
    with callers(demo.port) as statuses:
        spec.write_text(f"{jobs}---\n{endpoint.replace('churn@1', 'churn@2')}")
        said = demo.run("apply").stdout
        assert re.search(r"rolling  endpoint/churn: step 1 of 2: 10 % since \ds, .*; \S+ s until step 2", said), said
        assert re.search(r"rolling  endpoint/churn: step 2 of 2: 100 % since \ds, .* until it is live", said), said
        assert "everything is up to date" in said
        assert set(statuses) == {200}

        (cut,) = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    cut ")]
        subprocess.run(["bash", "-c", cut], cwd=demo.root, check=True)
        spec.write_text(f"{jobs}---\n{bad_job}---\n{endpoint.replace('churn@1', 'churn@3').replace('4s', '60s')}")
        statuses.clear()
        said = demo.run("apply", code=1).stdout
        assert re.search(r"revision 3 failed: taken back: errors 100.00 % \(\d+ of \d+\) against 0.00 %", said), said
        assert "why  revision 2 keeps serving" in said
        assert sum(count for status, count in statuses.items() if status != 200) <= 0.2 * sum(statuses.values())
        statuses.clear()
        assert "nothing to do" in demo.run("plan", code=1).stdout, "it is not tried again"
    assert set(statuses) == {200}
    history = demo.run("history", "churn").stdout
    assert re.search(r"model of stable churn@1 -> churn@2; canary of 2 steps, errors 0 % \(0 of", history), history
    failed = r"3 +failed .* model of stable churn@2 -> churn@3.*; taken back: errors 100.00 %"
    assert re.search(failed, history), history
