"""Where output goes: a terminal with colours and live lines, plain lines in a pipe or a CI log, or JSON.

Every text passes through here on its way out, so that what a container printed can neither move the
cursor nor give commands to a GitHub runner.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, TextIO

Format = Literal["text", "json", "markdown", "mermaid"]
NARROWEST = 16  # characters: in less, words are not wrapped

Cell = str | tuple[str, str]  # a text, or a text and its tone

_TONES = {"good": "32", "change": "33", "bad": "31", "name": "36", "bold": "1", "dim": "2"}
# What a terminal of few characters gets instead.
_PLAINER = str.maketrans({"✓": "+", "✗": "x", "–": "-", "…": "...", "·": ",", "→": "->", "━": "#", "─": "."})
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Screen:
    """Where output goes and in which form. `width` is None where lines are not to be wrapped.

    root: the project's folder, to which places in problems are relative. github: inside GitHub Actions.
    unicode: whether the terminal's encoding has more than ASCII.
    """

    format: Format = "text"
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    colour: bool = False
    live: bool = False
    width: int | None = None
    github: bool = False
    unicode: bool = True
    root: Path | None = None

    @classmethod
    def here(cls, form: Format, environment: Mapping[str, str] = os.environ) -> Screen:
        """The screen of this process, by its streams and the environment (NO_COLOR, FORCE_COLOR, CI, TERM)."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # a character the terminal lacks is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
        terminal = sys.stdout.isatty() and not in_ci and environment.get("TERM") != "dumb"
        forced = environment.get("FORCE_COLOR", "") not in ("", "0")
        return cls(
            format=form,
            out=sys.stdout,
            err=sys.stderr,
            colour=(terminal or forced) and not environment.get("NO_COLOR"),
            live=terminal and form == "text",
            width=_columns() if terminal else None,
            github=environment.get("GITHUB_ACTIONS") == "true",
            unicode=_can_write(sys.stdout, "✓✗━…⠋"),
        )

    def paint(self, *cells: Cell) -> str:
        """The cells as one text, with colours where there are some."""
        return "".join(self._painted(cell) for cell in cells)

    def _painted(self, cell: Cell) -> str:
        text, tone = (cell, "") if isinstance(cell, str) else cell
        text = clean(text) if self.unicode else clean(text).translate(_PLAINER)
        return f"\x1b[{_TONES[tone]}m{text}\x1b[0m" if self.colour and tone and text else text

    def line(self, *cells: Cell) -> None:
        """One line, or several where a text holds newlines, to standard output."""
        self._write(self.out, self.paint(*cells))

    def drawing(self, text: str) -> None:
        """Lines of our own making, with their colours in them; texts of others in it must be `clean`."""
        self._write(self.out, text)

    def aside(self, *cells: Cell) -> None:
        """A line to standard error: not part of what was asked for."""
        self._write(self.err, self.paint(*cells))

    def _write(self, stream: TextIO, text: str) -> None:
        if self.github:
            text = "\n".join(harmless(line) for line in text.split("\n"))
        stream.write(text + "\n")
        stream.flush()

    def table(self, rows: Sequence[Sequence[Cell]], *, head: Sequence[str] = (), indent: str = "") -> None:
        """Rows in aligned columns; on a terminal the last one is wrapped under itself."""
        all_rows: list[Sequence[Cell]] = [*([[(title, "dim") for title in head]] if head else []), *rows]
        texts = [[clean(cell if isinstance(cell, str) else cell[0]) for cell in row] for row in all_rows]
        count = max((len(row) for row in texts), default=0)
        widths = [max((len(row[i]) for row in texts if i < len(row) - 1), default=0) for i in range(count)]
        for row, row_texts in zip(all_rows, texts, strict=True):
            padded = [
                _with_text(cell, text.ljust(widths[i] + 2))
                for i, (cell, text) in enumerate(zip(row, row_texts, strict=True))
            ]
            start = len(indent) + sum(widths[i] + 2 for i in range(len(row) - 1))
            last = _with_text(row[-1], hanging(row_texts[-1], start, self.width))
            self._write(self.out, self.paint(indent, *padded[:-1], last).rstrip())

    def clear(self) -> None:
        """Clear the terminal."""
        self.out.write("\x1b[H\x1b[2J")

    def document(self, value: object) -> None:
        """One JSON document over several lines."""
        self._write_json(value, indent=2)

    def record(self, value: object) -> None:
        """One JSON object on its own line."""
        self._write_json(value)

    def _write_json(self, value: object, indent: int | None = None) -> None:
        import json

        self.out.write(json.dumps(value, indent=indent) + "\n")
        self.out.flush()


def _with_text(cell: Cell, text: str) -> Cell:
    return text if isinstance(cell, str) else (text, cell[1])


def hanging(text: str, start: int, width: int | None, *, indent: int | None = None) -> str:
    """`text`, which begins in column `start`, broken into lines that begin in column `indent` (`start` itself
    when None); where there is no room or no limit, only at its own line breaks."""
    indent = start if indent is None else indent
    first, *others = text.split("\n")
    lines = [" " * start + first, *(" " * indent + line for line in others)]
    if width is not None and width - indent >= NARROWEST:
        import textwrap

        wrapper = textwrap.TextWrapper(
            width, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=False
        )
        lines = [part for line in lines for part in wrapper.wrap(line) or [""]]
    return "\n".join(lines)[start:]


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _can_write(stream: TextIO, text: str) -> bool:
    """Whether the stream's encoding has these characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def clean(text: str) -> str:
    """Without control characters: a container's log must not move the cursor or change the terminal's title."""
    if text.isprintable():
        return text
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))  # of a progress bar its last state
    return "\n".join(_CONTROLS.sub("", line) for line in lines)


def harmless(line: str) -> str:
    """A line that a GitHub runner does not mistake for one of its commands."""
    if line.lstrip().startswith("::"):
        line = line.replace("::", ": :", 1)
    return line.replace("##[", "## [")
