"""The screen: colours, wrapping, and what containers print."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sagespec.runtimes.protocol import Check
from sagespec.show.lists import write_checks
from sagespec.show.screen import Screen, clean, hanging
from tests.show.screens import a_screen, out


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        (" 10 %\r 50 %\r100 %\r", "100 %"),
        ("tab\tstays", "tab\tstays"),
        ("bell\x07 and \x9b31m", "bell and 31m"),
    ],
)
def test_control_characters_are_taken_out(printed: str, shown: str) -> None:
    assert clean(printed) == shown


def test_an_ascii_terminal_gets_plainer_signs() -> None:
    screen = a_screen(unicode=False)
    write_checks(screen, [Check("a", True, "b…"), Check("c", False, "d", "e")])
    assert out(screen).isascii()
    assert out(screen).startswith("+  a  b...\nx  c  d\n      fix  e\n")


@contextmanager
def _a_terminal(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> Iterator[None]:
    class Stream(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return is_terminal

    monkeypatch.setattr("sys.stdout", Stream())
    monkeypatch.setattr("sys.stderr", Stream())
    yield


@pytest.mark.parametrize(
    ("environment", "is_terminal", "colour", "live"),
    [
        ({}, True, True, True),
        ({}, False, False, False),
        ({"CI": "true"}, True, False, False),
        ({"CI": "false"}, True, True, True),
        ({"TERM": "dumb"}, True, False, False),
        ({"NO_COLOR": "1"}, True, False, True),
        ({"FORCE_COLOR": "1"}, False, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False, False),
    ],
)
def test_colours_and_moving_lines_are_for_terminals(
    environment: dict[str, str], is_terminal: bool, colour: bool, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _a_terminal(monkeypatch, is_terminal=is_terminal):
        screen = Screen.here("text", environment)
    assert (screen.colour, screen.live) == (colour, live)


def test_long_texts_hang() -> None:
    assert hanging("one two three four five six seven", 4, 30, indent=2) == "one two three four five\n  six seven"
    assert hanging("as it is\nsecond", 4, None) == "as it is\n    second"
