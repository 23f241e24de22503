"""The pages of docs/: what they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


def names_of_tests(file: Path) -> set[str]:
    """Names of the tests a file defines."""
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_the_contracts_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (DOCS / "sagemaker.md").read_text())
    defined = {file: names_of_tests(TESTS / file) for file in {file for file, _ in named} if (TESTS / file).is_file()}
    missing = [f"{file}::{name}" for file, name in named if name not in defined.get(file, ())]
    assert not missing
    assert len(named) > 50


def test_every_line_of_the_contract_has_a_test_or_a_reason() -> None:
    page, _, left_out = (DOCS / "sagemaker.md").read_text().partition("## What is left out")
    rows = [row.strip("|").split("|") for row in page.splitlines() if row.startswith("| ") and "---" not in row]
    untested = [row[0].strip() for row in rows if "::" not in row[2] and "Shown by" not in row[2]]
    assert [row for row in untested if not re.search(rf"{re.escape(row)} \| left out: \w", page)] == []
    assert left_out.count("\n| ") > 5
