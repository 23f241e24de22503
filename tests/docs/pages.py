"""The pages people read, and the parts of them that say something about the code.

The tests beside this file look these parts up in the code, so that a page cannot go on saying what is no longer so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"spec.md"}  # from the models, by `make docs`
PAGES = tuple(
    page
    for page in (
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "examples").rglob("README.md")),
        ROOT / "images" / "README.md",
    )
    if page.name not in GENERATED
)


@dataclass(frozen=True)
class Line:
    """One line of a page. code: it stands in a block of code; language: of a fenced block."""

    page: Path
    number: int
    text: str
    code: bool = False
    language: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.number}: {self.text.strip()}"


def lines(page: Path) -> Iterator[Line]:
    """The lines of a page; those of fences themselves left out."""
    fence, in_list = "", False
    for number, text in enumerate(page.read_text().splitlines(), 1):
        opened = re.match(r"\s*```(\w*)", text)
        if opened:
            fence = "" if fence else opened[1] or "text"
            continue
        in_list = bool(re.match(r"\s*(- |\d+\. )", text)) or (in_list and (not text or text.startswith(" ")))
        indented = text.startswith("      " if in_list else "    ")
        yield Line(page, number, text, code=bool(fence) or indented, language=fence)


def all_lines() -> list[Line]:
    return [line for page in PAGES for line in lines(page)]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def spans(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def section(page: Path, heading: str) -> str:
    """The text below one heading, up to the next of the same depth or above."""
    depth = heading.index(" ")
    found = re.search(
        rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{depth}}} |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, f"{page.name} has no heading {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables in a text, heads left out; cells stripped."""
    found = []
    table = text.splitlines()
    for line, below in zip(table, [*table[1:], ""], strict=True):
        if line.startswith("|") and not set(line) <= set("|-: ") and not (below and set(below) <= set("|-: ")):
            found.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found
