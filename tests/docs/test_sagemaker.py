"""docs/sagemaker.md: every line of SageMaker's contract names the tests that show it, or why it is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.pages import ROOT, rows

TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "sagemaker.md"
SWARM = ROOT / "docs" / "swarm.md"


def names_of_tests(file: Path) -> set[str]:
    """Names of the tests a file defines."""
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_the_contracts_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE.read_text())
    defined = {name for file in TESTS.rglob("test_*.py") for name in names_of_tests(file)}
    missing = [f"{file}::{name}" for file, name in named if name not in defined]
    assert not missing
    assert len(named) > 50


def test_every_failure_that_the_page_of_swarms_tells_of_has_its_test() -> None:
    failures = SWARM.read_text().partition("## What happens when something fails")[2]
    told = rows(failures)
    named = [(re.findall(r"`([\w/]+\.py)::(\w+)`", row[2]), row) for row in told]
    assert [row for found, row in named if not found and row[2] != "the same"] == []
    assert [test for found, _ in named for file, test in found if test not in names_of_tests(TESTS / file)] == []
    assert len(told) > 8


def test_every_line_of_the_contract_has_a_test_or_a_reason() -> None:
    contract, _, left_out = PAGE.read_text().partition("## What is left out")
    untested = [row for row in rows(contract) if "::" not in row[2]]
    assert [row for row in untested if not re.match(r"left out: \w", row[1])] == []
    assert len(rows(left_out)) > 5
