"""One word, one meaning: the words page is complete, and no name or text uses words it says we avoid."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, lines, rows, section

ARCHITECTURE = ROOT / "docs" / "architecture.md"
WORDS = section(ARCHITECTURE, "## Words")
EXPLAINED = [row[0] for row in rows(WORDS) if not row[0].startswith("**")]

# Words that the code uses for something of its own; whoever adds one adds its row.
OF_THE_CODE = {
    *("spec", "desired", "observed", "snapshot", "plan", "action", "cause", "decision", "goal", "drift", "adopt"),
    *("job", "host", "attempt", "fault", "verdict", "follow", "collect", "turn", "claim", "stop request", "interrupt"),
    *("endpoint", "variant", "instance", "route", "target", "table", "pool", "probe", "weight", "drain", "proven"),
    *("channel", "delivery", "view", "feeder", "companion", "witness", "program", "launch", "address", "place"),
    *("key", "hash", "fingerprint", "digest", "manifest", "revision", "endpoint record", "records", "store"),
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
        "waiting",
        "blocked",
        "orphaned",
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_read_as_a_native_speaker_writes(page: Path) -> None:
    said = [(line, better) for line in lines(page) for better in better_english(line.text)]
    assert said == []


def better_english(text: str) -> list[str]:
    return [f"{bad!r} -> {good!r}" for bad, good in TRANSLATED.items() if re.search(rf"\b{bad}\b", text, re.IGNORECASE)]
