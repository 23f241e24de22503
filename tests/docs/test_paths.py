"""Links and paths on the pages lead somewhere, and the map of the code is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, lines, rows, section, spans
from tests.test_imports import BANDS

ARCHITECTURE = ROOT / "docs" / "architecture.md"
FOLDERS_OF_OURS = ("sagespec/", "tests/", "images/", "benchmarks/", "docs/", ".github/")
MADE_BY_USERS = {"images/NAME/", "sagespec/runtimes/NAME/"}


def anchors(page: Path) -> set[str]:
    """The anchors GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text()):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_this_repository_exist(page: Path) -> None:
    run = [word for line in lines(page) if line.code for word in line.text.split() if word.startswith("tests/")]
    named = {span for span in spans(page.read_text()) if span.startswith(FOLDERS_OF_OURS)}.union(run)
    paths = {path for path in named - MADE_BY_USERS if re.fullmatch(r"[\w./-]+", path)}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_architecture_page_names_files_that_exist() -> None:
    named = {span for span in spans(ARCHITECTURE.read_text()) if re.fullmatch(r"[\w/-]+\.py|[\w/-]+/", span)}
    paths = {path for path in named if not path.startswith(FOLDERS_OF_OURS)}
    places = (ROOT / "sagespec", ROOT / "sagespec" / "runtimes")  # docker/ and process/ are said of the latter
    missing = [path for path in sorted(paths) if not any((place / path).exists() for place in places)]
    assert missing == []
    assert len(paths) > 40


def test_every_room_has_its_one_reason() -> None:
    page = section(ARCHITECTURE, "## Six bands")
    described = [row[0].strip("`").rstrip("/") for row in rows(page)]
    package = ROOT / "sagespec"
    files = {file.name for file in package.glob("*.py") if not file.name.startswith("_")}
    folders = {file.parent.name for file in package.glob("*/__init__.py")}
    assert sorted(described) == sorted(files | folders)


def test_the_bands_are_those_that_imports_are_held_to() -> None:
    for band, _, levels in BANDS:
        rooms = dict.fromkeys(unit.partition(".")[0] for unit in levels.replace("|", " ").split())
        there = {room for room in rooms if list((ROOT / "sagespec").glob(f"{room}*")) and not room.startswith("_")}
        described = rows(section(ARCHITECTURE, f"### {band.capitalize()}"))
        assert {row[0].strip("`").removesuffix("/").removesuffix(".py") for row in described} == there, band


def test_every_symptom_names_a_file() -> None:
    symptoms = rows(section(ARCHITECTURE, "## Where to look"))
    assert [row for row in symptoms if not spans(row[1]) and not row[0].startswith("**")] == []
    assert len(symptoms) > 20
