"""Messages that the pages quote are messages that the code prints."""

from __future__ import annotations

import re

import pytest

from tests.docs.messages import is_printed
from tests.docs.pages import Line, all_lines, spans

# What others print, and pages quote.
OF_OTHERS = {
    "Read-only file system": "Linux",
    "exec format error": "Linux",
}
VERBS = r"(?:run-job|start|await|set|record|drain|remove)-?[a-z]*"
# Each pattern's group is the message in a line of output.
OUTPUT = (
    r"\s*(?:why|fix)\s{2,}(.+)",
    r"\s*refused\s{2,}\S+\s{2,}\S+: (.+)",
    r"\s*specs/\S+:\d+:\d+\s{2,}\S+: (.+)",
    r"\s*✗\s{2,}[\w ]+?\s{2,}(.+)",
    rf"\s*{VERBS}\s+(?:job|endpoint|gateway)\S*\s{{2,}}((?!\S+ of \S+ \S+ ->).+)",
    r"\s*job/\S+\s+(?:waiting|refused|failed)\s{2,}(.+)",
    r"\s*(runtime (?:docker|process): .+)",
)
IN_JSON = r'"(?:text|runtime|reason)": "([^"]*\w \w[^"]*)"'
WORDS = re.compile(r"[\w…/(][\w'’.,:;()/@#-]*")


def quoted(line: Line) -> list[str]:
    """The messages that a line quotes."""
    if line.text.startswith("#"):
        return re.findall(r'"([^"]+)"', line.text)
    if not line.code:
        return [span for span in spans(line.text) if is_sentence(span)]
    for pattern in OUTPUT:
        if found := re.fullmatch(pattern, line.text):
            return [found[1]]
    return re.findall(IN_JSON, line.text)


def is_sentence(span: str) -> bool:
    """Whether a span between backticks is a message and no command, field, or piece of code."""
    words = [word for word in span.split() if word != "…"]
    if len(words) < 3 or span.startswith(("sagespec ", "docker ", "pip ", "python ", "git ", "make ", "kill ", "(")):
        return False
    return "=" not in span and all(WORDS.fullmatch(word) for word in words) and any("a" <= w[0] <= "z" for w in words)


def is_message(text: str) -> bool:
    """Whether it is a message of ours: not a change of a field, not a plan, not a line of a program."""
    return text not in OF_OTHERS and " -> " not in text and not re.match(r"run-job  |\[\d+\] ", text)


MESSAGES = [(line, text) for line in all_lines() for text in quoted(line) if is_message(text)]


@pytest.mark.parametrize(("line", "message"), MESSAGES, ids=[f"{line.page.stem}:{text}" for line, text in MESSAGES])
def test_the_code_prints_what_the_pages_quote(line: Line, message: str) -> None:
    assert is_printed(message), f"no message of the code reads like this: {message!r} ({line})"


def test_messages_are_found_in_headings_output_json_and_text() -> None:
    found = {(line.page.name, text) for line, text in MESSAGES}
    assert ("troubleshooting.md", "the gateway cannot listen on 127.0.0.1:8080") in found
    assert ("README.md", "set version: 2; endpoints that name tumor-boosted@1 keep serving it") in found
    assert ("commands.md", "reading train") in found
    assert len(found) > 25


def test_a_message_that_nobody_prints_is_seen() -> None:
    assert is_printed("the gateway cannot listen on 127.0.0.1:8080")
    assert is_printed("the project is locked by …")
    assert not is_printed("the gateway can not listen on 127.0.0.1:8080")
    assert not is_printed("another sagespec … is at work")
    assert not is_printed("127.0.0.1:8080 … nobody knows why")
