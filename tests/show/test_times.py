"""Times for people are written in one place, in UTC, and say so."""

from __future__ import annotations

import re
from pathlib import Path

SAGESPEC = Path(__file__).parents[2] / "sagespec"


def test_no_other_file_writes_hours_and_minutes_in_a_way_of_its_own() -> None:
    found = {
        str(file.relative_to(SAGESPEC))
        for file in SAGESPEC.rglob("*.py")
        if "%H:%M" in file.read_text() and file.parent.name not in {"api", "s3"}
    }
    assert found == {"display.py"}


def test_pages_say_that_times_are_in_utc() -> None:
    files = (SAGESPEC / "dashboard" / "templates").glob("*.html")
    ways = {way for file in files for way in re.findall(r"""strftime\(["']([^"']*)["']\)""", file.read_text())}
    assert ways
    assert all(way.endswith(" UTC") for way in ways)
