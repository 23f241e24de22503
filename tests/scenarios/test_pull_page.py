"""docs/pull.md: its example can be run as it stands, and its source can be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sagespec.load.source import load_source
from tests.docs.pages import ROOT, section
from tests.ports import free_port

PAGE = ROOT / "docs" / "pull.md"


def test_the_source_of_the_page_is_right(tmp_path: Path) -> None:
    file = tmp_path / "source.yaml"
    text, *_ = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file.write_text(text)
    assert load_source(file).name == "churn-prod"


def test_every_rule_of_the_page_has_cases_and_every_case_a_rule() -> None:
    """But for what people do in between, R11 and R12: tests/scenarios/test_pull_people.py."""
    rules = set(re.findall(r"^\| (R\d+) \|", PAGE.read_text(), re.MULTILINE)) - {"R11", "R12"}
    cases = [yaml.safe_load(file.read_text())["about"] for file in (ROOT / "tests/cases/source").glob("*.yaml")]
    assert {rule for case in cases for rule in re.findall(r"R\d+", case.partition(":")[0])} == rules


@pytest.mark.slow
def test_the_example_of_the_page_can_be_run(tmp_path: Path) -> None:
    lines = re.findall(r"^    (.*)$", section(PAGE, "## Try it"), re.MULTILINE)
    lines.insert(1, f"echo 'gateway: {{port: {free_port()}}}' >> models/sagespec.yaml")
    program = tmp_path / "bin" / "sagespec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sagespec "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "CI": "true",
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    try:
        said = run("\n".join(lines))
        assert "is not signed; it is held" in said
        assert "\nheld\n" in said
        assert re.search(r"applied +[0-9a-f]{12} at .* signed by ada", said)
    finally:
        run("sagespec -C state destroy --yes --runtime process")
