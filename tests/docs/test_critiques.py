"""docs/critiques.md: what users of similar tools complain of, each with a test that shows what is done here."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT
from tests.docs.test_sagemaker import names_of_tests

PAGE = ROOT / "docs" / "critiques.md"
COMPLAINTS = 28


def test_every_complaint_has_a_test_that_is_there() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| `([\w/]+\.py)::(\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, COMPLAINTS + 1))
    missing = [f"{file}::{name}" for _, file, name in rows if name not in names_of_tests(ROOT / "tests" / file)]
    assert missing == []
