"""Lines keep their numbers and times, whatever happens to who wrote them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sagespec.api.errors import ApiError
from sagespec.api.logs.filters import matcher
from sagespec.api.logs.reading import MOST_BYTES, Asked, read
from sagespec.api.logs.spool import Line, Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool(tmp_path / "a" / "algo-1.log")
    yield found
    found.close()


def fill(spool: Spool, count: int) -> None:
    for number in range(count):
        spool.add(1000 + number // 3, f"line {number}")


def test_lines_come_back_as_they_were_after_another_start(spool: Spool, tmp_path: Path) -> None:
    texts = ["plain", "", "ümläut ☃", "tab\there", "x" * 5000, "\ud800 half", "a\nb"]
    for at, text in enumerate(texts):
        spool.add(at, text)
    found = list(spool.lines(0, 99))
    assert [line.text for line in found] == [*texts[:5], "? half", "a b"]
    spool.close()
    with closing(Spool(tmp_path / "a" / "algo-1.log")) as again:
        assert list(again.lines(0, 99)) == found


def test_a_line_that_was_cut_off_is_forgotten(spool: Spool, tmp_path: Path) -> None:
    fill(spool, 3)
    spool.close()
    file = tmp_path / "a" / "algo-1.log"
    file.write_bytes(file.read_bytes()[:-2])
    with closing(Spool(file)) as again:
        again.add(5000, "next")
        assert [line.text for line in again.lines(0, 9)] == ["line 0", "line 1", "next"]


def test_times_never_fall(spool: Spool) -> None:
    for at in (5, 3, 9, 1):
        spool.add(at, "")
    assert [line.at for line in spool.lines(0, 9)] == [5, 5, 9, 9]


def test_whoever_waits_is_woken_by_the_next_line(spool: Spool) -> None:
    threading.Timer(0.05, spool.add, (1, "there")).start()
    spool.wait(0, 30)
    assert len(spool) == 1


def test_reading_on_by_token_gives_every_line_once(spool: Spool) -> None:
    chance, found, token = random.Random(3), list[Line](), None
    for _ in range(50):
        fill(spool, chance.randrange(4))
        answer = read(spool, Asked(limit=chance.randrange(1, 5), from_head=True, token=token))
        found += answer.lines
        token = answer.forward
    found += read(spool, Asked(from_head=True, token=token)).lines
    assert found == list(spool.lines(0, len(spool)))


def test_reading_on_by_time_and_count_as_sdk_2_does_gives_every_line_once(spool: Spool) -> None:
    found, at, skip = list[Line](), 0, 0
    for _ in range(5):
        fill(spool, 7)
        lines = read(spool, Asked(since=at, from_head=True)).lines[skip:]
        for line in lines:
            at, skip = (line.at, skip + 1) if line.at == at else (line.at, 1)
        found += lines
    assert [line.number for line in found] == list(range(35))


def test_a_token_at_the_end_stays_the_same_until_there_is_more(spool: Spool) -> None:
    fill(spool, 2)
    end = read(spool, Asked(from_head=True)).forward
    assert read(spool, Asked(token=end)).forward == end
    spool.add(9999, "more")
    assert [line.text for line in read(spool, Asked(token=end)).lines] == ["more"]


def test_without_a_token_the_newest_lines_come_and_lead_back(spool: Spool) -> None:
    fill(spool, 10)
    newest = read(spool, Asked(limit=4))
    before = read(spool, Asked(limit=4, token=newest.backward))
    assert [line.number for line in (*before.lines, *newest.lines)] == list(range(2, 10))
    assert read(spool, Asked(limit=4, token=read(spool, Asked(limit=4, token=before.backward)).backward)).lines == ()


def test_an_answer_holds_a_mebibyte(spool: Spool) -> None:
    for number in range(30):
        spool.add(number, "x" * 100_000)
    first = read(spool, Asked(from_head=True))
    assert sum(len(line.text) for line in first.lines) <= MOST_BYTES
    assert read(spool, Asked(token=first.forward)).lines[0].number == len(first.lines) > 1


@pytest.mark.parametrize("token", ["", "x", "f/", "f/-1", "f/1e9", "g/1", "f/" + "9" * 40, "f/1 "])
def test_a_token_of_somebody_else_is_refused(spool: Spool, token: str) -> None:
    with pytest.raises(ApiError):
        read(spool, Asked(token=token or "/"))


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR", True),
        ("ERROR", "an error", False),
        ("a b", "b and a", True),
        ('"a b"', "b and a", False),
        ("?a ?z", "b and a", True),
        ("-a", "b and a", False),
        ("and -zzz", "b and a", True),
    ],
)
def test_words_of_a_filter(pattern: str, message: str, matches: bool) -> None:
    assert matcher(pattern)(message) is matches


@pytest.mark.parametrize("pattern", ["{ $.x = 1 }", "[a, b]", "%x%"])
def test_other_filters_are_refused(pattern: str) -> None:
    with pytest.raises(ApiError):
        matcher(pattern)
