"""docs/planning.md: every rule has a case, and every case is a rule's.

The cases are tests/cases/reconcile/*.yaml. What `reconcile` can say of an action is looked for in them as well, so that
a new rule cannot come without one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
import yaml

from sagespec.causes import Reason
from tests.docs.messages import HOLE, same_words, texts
from tests.docs.pages import ROOT, rows, spans

PAGE = ROOT / "docs" / "planning.md"
CASES = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "tests/cases/reconcile").glob("*.yaml")}
RULES = rows(PAGE.read_text())


def test_every_rule_has_a_case() -> None:
    without = [row for row in RULES if not spans(row[-1])]
    assert without == [], "planning.md has rules that no case shows"
    assert len(RULES) > 30


def test_every_case_named_is_there_and_every_case_is_named() -> None:
    named = {name for row in RULES for name in spans(row[-1])}
    assert named == set(CASES)


def texts_of_plans() -> list[str]:
    """All that the plans of the cases say: causes, what stands behind them in brackets, refusals, notes."""
    found = []
    for case in CASES.values():
        causes = [line.split("  ")[-1].strip() for line in case.get("plan", "").splitlines()]
        found += [part for cause in causes for part in re.split(r"[()]", cause) if part]
        found += [*case.get("refused", []), *case.get("notes", [])]
    return found


def texts_of_reconcile() -> Iterator[tuple[str, str]]:
    """Every text that `reconcile` can give to a cause, a refusal or a note: the file and the text. What it says of a
    followed branch is in no plan; its cases are in tests/cases/source."""
    for file in sorted((ROOT / "sagespec" / "reconcile").glob("*.py")):
        if file.name == "sources.py":
            continue
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):  # why something is refused, and the way out, follow from what is refused
            if isinstance(node, ast.keyword) and node.arg in {"why", "fix"}:
                node.value = ast.Constant(None)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"why", "fix"}:
                node.value = ast.Constant(None)
        for text in texts(tree):
            if len(text.replace(HOLE, "").split()) > 2 - text.count(HOLE):
                yield file.name, text


@pytest.mark.parametrize(("file", "text"), list(texts_of_reconcile()), ids=lambda value: value.replace(HOLE, "…"))
def test_a_case_shows_every_text_of_reconcile(file: str, text: str) -> None:
    assert any(shows(said.split(), tuple(text.split())) for said in texts_of_plans()), (
        f"no case in tests/cases/reconcile has a plan that says {text.replace(HOLE, '…')!r}, as reconcile/{file} can"
    )


def shows(said: list[str], template: tuple[str, ...]) -> bool:
    """Whether one is the other, or a part of it: cases quote refusals and notes in part."""
    constant = sum(HOLE not in word for word in template)
    return same_words(said, template) >= min(constant, len(said) - template.count(HOLE))


def test_every_reason_is_given_in_reconcile() -> None:
    source = "".join(file.read_text() for file in (ROOT / "sagespec" / "reconcile").glob("*.py"))
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in source] == []
