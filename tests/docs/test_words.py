"""One word, one meaning: the words page is complete, and no name or text uses words it says we avoid."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import click
import pytest

from tests.docs.commands import commands
from tests.docs.messages import texts
from tests.docs.pages import PAGES, ROOT, lines, rows, section

ARCHITECTURE = ROOT / "docs" / "architecture.md"
WORDS = section(ARCHITECTURE, "## Words")
EXPLAINED = [row[0] for row in rows(WORDS) if not row[0].startswith("**")]
AVOIDED = frozenset(
    re.findall(r"\w+", re.sub(r"\(.*?\)", "", WORDS.partition("Words we avoid in names:")[2].split(".")[0]))
)

# Words that the code uses for something of its own; whoever adds one adds its row.
OF_THE_CODE = {
    *("spec", "desired", "observed", "snapshot", "plan", "action", "cause", "decision", "goal", "drift", "adopt"),
    *("job", "host", "attempt", "fault", "verdict", "follow", "collect", "turn", "claim", "stop request", "interrupt"),
    *("endpoint", "variant", "instance", "route", "target", "table", "pool", "probe", "weight", "drain", "proven"),
    *("channel", "delivery", "view", "feeder", "companion", "witness", "program", "launch", "address", "place"),
    *("key", "hash", "fingerprint", "digest", "manifest", "revision", "endpoint record", "records", "store"),
    *("pass", "run", "task", "effect", "follower", "wake", "let go"),
    *("lock", "holder", "lease", "engine", "runtime", "gateway", "prune", "settled", "converge", "reconcile"),
    *(
        "caller",
        "tell",
        "event",
        "outcome",
        "archive",
        "serving",
        "pending",
        "degraded",
        "flapping",
        "waiting",
        "blocked",
        "orphaned",
        "elsewhere",
    ),
}
# English that reads as translated, and what to write instead.
TRANSLATED = {
    "mend": "fix",
    "mended": "fixed",
    "anew": "again",
    "goes on": "continues",
    "go on": "continue",
    "taken up": "picked up",
    "takes up": "picks up",
    "as specified": "up to date",
    "of one's own": "your own",
    "of yours": "your",
    "shall be": "should be",
    "at work": "running",
    "nobody can be asked": "there is no terminal",
}


def test_the_words_page_is_complete_and_gives_each_word_one_meaning() -> None:
    assert sorted(OF_THE_CODE - set(EXPLAINED)) == []
    assert [word for word, times in Counter(EXPLAINED).items() if times > 1] == []


def names() -> list[tuple[str, str]]:
    """Every module, class and function of the code that is named by us: the file and the name."""
    found = []
    for folder in ("sagespec", "images"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "hosted" in file.parts:  # named as in SageMaker's own containers
                continue
            where = str(file.relative_to(ROOT))
            found.append((where, file.stem))
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    found.append((where, node.name))
    return found


def words_of(name: str) -> set[str]:
    """{'set', 'routes'} of set_routes or SetRoutes."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_no_name_uses_a_word_that_says_nothing() -> None:
    assert {"sync", "manager", "helper", "util"} <= AVOIDED
    used = [f"{file}: {name}" for file, name in names() if words_of(name) & (AVOIDED | TRANSLATED.keys())]
    assert used == ["sagespec/handles/deploying.py: deploy"], "the verb that users of SageMaker's SDK know"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_read_as_a_native_speaker_writes(page: Path) -> None:
    said = [(line, better) for line in lines(page) for better in better_english(line.text)]
    assert said == []


def test_messages_and_help_read_as_a_native_speaker_writes() -> None:
    said = [
        f"{file.relative_to(ROOT)}: {text!r}: {better}"
        for folder in ("sagespec", ".github")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for text in texts(ast.parse(file.read_text()))
        for better in better_english(text)
    ]
    assert said == []
    help_texts = {" ".join(words): command.get_help(click.Context(command)) for words, command in commands().items()}
    assert {words: better for words, text in help_texts.items() if (better := better_english(text))} == {}


def test_no_way_out_begins_with_the_word_that_stands_before_it() -> None:
    """What is printed is `fix  fix the path`."""
    sources = [(file, ast.parse(file.read_text())) for file in sorted((ROOT / "sagespec").rglob("*.py"))]
    assert [(file.name, text) for file, tree in sources for text in texts(tree) if re.match(r"fix \S", text)] == []


def better_english(text: str) -> list[str]:
    return [f"{bad!r} -> {good!r}" for bad, good in TRANSLATED.items() if re.search(rf"\b{bad}\b", text, re.IGNORECASE)]
