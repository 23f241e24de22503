"""A log that many read: nothing is lost, whoever reads from where, and a long one is read fast enough."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.dashboard.curves import Curve
from sagespec.dashboard.log import Line, Log, Logs
from sagespec.dashboard.stream import Position, events
from sagespec.errors import WorldError
from sagespec.verbs.metrics import Series


def everything(_: Line) -> bool:
    return True


def read_all(log: Log, start: int = 0) -> list[str]:
    found, position = list[str](), start
    while True:
        lines, after = log.read(position)
        if after == position:
            return found
        found += [line.text for line in lines]
        position = after


def complete(log: Log) -> Log:
    while not log.ended:
        log.wait(1 << 60, 5.0)
    return log


def test_a_log_is_read_from_any_position(tmp_path: Path) -> None:
    lines = [("job/churn@1#0", f"line {number} é\t\x00") for number in range(10_000)]
    log = complete(Log(lambda: iter(lines), tmp_path))
    assert read_all(log) == [text for _, text in lines]
    first, position = log.read(0, most_bytes=1000)
    assert [line.text for line in first] + read_all(log, position) == [text for _, text in lines]
    tail, end = log.tail(5, everything)
    assert ([line.text for line in tail], end) == ([text for _, text in lines[-5:]], log.size)
    assert list(tmp_path.iterdir()) == []  # it leaves no file


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    texts = ["x" * 3_000_000, "short", "y" * 300_000]
    log = complete(Log(lambda: (("job/a@1#0", text) for text in texts), tmp_path))
    assert read_all(log) == texts


def test_a_log_that_breaks_off_says_why_and_is_tried_again(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, str]]:
        raise WorldError("the engine is away")
        yield ("", "")

    logs = Logs()
    log = complete(logs.get("job", broken, lambda: tmp_path))
    assert log.failed == "the engine is away"
    again = logs.get("job", lambda: iter([("job/a@1#0", "back")]), lambda: tmp_path)
    assert read_all(complete(again)) == ["back"]
    assert logs.get("job", broken, lambda: tmp_path) is again


def test_a_log_that_nobody_reads_is_left_and_is_read_again_for_who_comes_back(tmp_path: Path) -> None:
    closed = threading.Event()

    def endless() -> Iterator[tuple[str, str]]:
        try:
            for number in itertools.count():
                yield "job/churn@1#0", f"line {number}"
        finally:
            closed.set()

    logs = Logs(left_seconds=0.05)
    first = logs.get("job", endless, lambda: tmp_path)
    assert closed.wait(10)
    again = complete(logs.get("job", lambda: iter([("job/churn@1#0", "line 0")]), lambda: tmp_path))
    assert again.id != first.id  # so that a page begins from its start
    assert read_all(again) == ["line 0"]


def test_a_curve_that_nobody_draws_is_left() -> None:
    closed = threading.Event()

    def endless() -> Iterator[Series]:
        try:
            while True:
                yield {"loss": [(1.0, 0.5)]}
        finally:
            closed.set()

    curve = Curve(endless, left_seconds=0.05)
    assert closed.wait(10)
    assert curve.latest == {"loss": [(1.0, 0.5)]}


class Followed:
    """A log that grows, and what a browser has had of it."""

    def __init__(self, folder: Path) -> None:
        self.go = threading.Event()
        self.count = 0
        self.log = Log(self._lines, folder)
        self.curve = Curve(lambda: iter(()))

    def _lines(self) -> Iterator[tuple[str, str]]:
        for number in itertools.count():
            if self.go.is_set():
                return
            self.count = number + 1
            yield "job/churn@1#0", f"line {number}"
            if number % 500 == 499:
                time.sleep(0.01)


def test_a_tab_that_slept_loses_nothing(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    had: list[str] = []
    last_id = str(Position(followed.log.id))
    for _ in range(4):  # four times awake, each from where it was
        stream = events(followed.log, followed.curve, Position.read(last_id), everything)
        for text in itertools.islice(stream, 3):
            last_id, lines = parsed(text)
            had += lines
        stream.close()  # type: ignore[attr-defined]
        time.sleep(0.05)
    followed.go.set()
    for text in events(followed.log, followed.curve, Position.read(last_id), everything):
        had += parsed(text)[1]
    assert had == [f"line {number}" for number in range(followed.count)]


def parsed(text: str) -> tuple[str, list[str]]:
    fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
    data = json.loads(fields["data"])
    return fields["id"], [line for _, line in data] if fields["event"] == "lines" else []


def test_a_tab_of_an_earlier_log_begins_from_the_start(tmp_path: Path) -> None:
    log = complete(Log(lambda: iter([("job/a@1#0", "first")]), tmp_path))
    curve = Curve(lambda: iter([{"loss": [(1.0, 0.5), (2.0, 0.25)]}]))
    found = list(events(log, curve, Position.read("other.4000.1000"), everything))
    names = [text.splitlines()[1] for text in found]
    assert names == ["event: again", "event: points", "event: lines", "event: ended"]
    assert '"loss":[[2.0,0.25]]' in found[1]  # the first point was had


@pytest.mark.slow
def test_a_million_lines_are_followed_at_more_than_5000_a_second(tmp_path: Path) -> None:
    count = 1_000_000
    lines = (("job/churn@1#0", f"[{number}] loss=0.12345 auc=0.98765 and some more words") for number in range(count))
    begun = time.process_time()
    log = Log(lambda: lines, tmp_path)
    had = 0
    for text in events(log, Curve(lambda: iter(())), Position(log.id), everything):
        had += len(parsed(text)[1])
    assert had == count
    assert count / (time.process_time() - begun) > 5000


@pytest.mark.parametrize("far", [f"{10**30}.0", f"0.{'9' * 400}", f"{'9' * 5000}.0", "-5.0", "²1.0"])
def test_a_position_that_nobody_was_given_ends_no_stream(tmp_path: Path, far: str) -> None:
    log, curve = Log(lambda: iter([("job/churn@1#0", "a line")]), tmp_path), Curve(lambda: iter(()))
    log.wait(2**40, 10)
    found = list(events(log, curve, Position.read(f"{log.id}.{far}"), everything))
    assert "event: ended" in found[-1]
