"""Numbers found in lines: which count, in what order, and how many are kept."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from sagespec.errors import WorldError
from sagespec.run.metrics import (
    LONGEST_LINE,
    MOST_POINTS,
    FoundMetrics,
    final_values,
    latest_points,
    latest_values,
    series_of,
    thinned,
)
from sagespec.run.patterns import search_for
from sagespec.verbs.metrics import followed_series
from tests.fakes import FakeEngine, FakeRuntime, Faults

LOSS = [("loss", search_for(r"loss=(\S+)"))]


def found(*lines: tuple[float, str]) -> FoundMetrics:
    host = FoundMetrics(LOSS)
    for at, line in lines:
        host.read(at, line)
    return host


def test_numbers_are_kept_with_the_seconds_since_the_start() -> None:
    host = found((100.5, "epoch 1 loss=0.5"), (101.25, "loss=1e-3 done"), (102, "no number"))
    assert series_of([host], since=100.0) == {"loss": [(0.5, 0.5), (1.25, 0.001)]}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "high", "1e999"])
def test_what_is_no_finite_number_is_no_metric(text: str) -> None:
    assert series_of([found((1, f"loss={text}"))], since=0) == {}


def test_of_a_group_that_took_no_part_nothing_is_read() -> None:
    host = FoundMetrics([("loss", search_for(r"loss=(\d+)?"))])
    host.read(1, "loss=")
    assert host.names == ()


def test_the_lines_of_all_hosts_count_and_the_last_printed_wins() -> None:
    first, second = found((10, "loss=1"), (30, "loss=3")), found((20, "loss=2"), (40, "loss=4"))
    series = series_of([first, second], since=10)
    assert series == {"loss": [(0, 1), (10, 2), (20, 3), (30, 4)]}
    assert final_values(series) == {"loss": 4}


def test_of_two_hosts_at_one_time_the_first_wins() -> None:
    hosts = [found((10, "loss=1")), found((10, "loss=2"))]
    assert final_values(series_of(hosts, since=0)) == {"loss": 1}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("\rloss=3 \rloss=2 \rloss=1 ", 1),
        ("loss=3\rloss=1\r", 1),
        ("\rloss=1\rsaved", 1),
        ("\rloss=1\rloss=nan", 1),
        ("\r".join(f"{step:>60} loss={step}" for step in range(1000)), 999),
    ],
)
def test_of_a_progress_bar_the_last_value_counts(line: str, value: float) -> None:
    assert found((1, line)).points("loss") == [(1, value)]


def test_a_pattern_for_whole_lines_finds_the_pieces_of_a_progress_bar() -> None:
    host = FoundMetrics([("loss", search_for(r"^loss=(\d+)$"))])
    host.read(1, "\rloss=2\rloss=1\r")
    assert host.points("loss") == [(1, 1)]


def test_several_patterns_may_give_one_metric() -> None:
    host = FoundMetrics([*LOSS, ("loss", search_for(r"error (\S+)")), ("auc", search_for(r"auc (\S+)"))])
    for at, line in enumerate(["loss=1", "error 2", "loss=3 auc 0.5"]):
        host.read(at, line)
    assert series_of([host], since=0) == {"loss": [(0, 1), (1, 2), (2, 3)], "auc": [(2, 0.5)]}


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 4001, 12_345])
def test_a_long_series_is_thinned_evenly_and_keeps_both_ends(count: int) -> None:
    host = found(*((float(number), f"loss={number}") for number in range(count)))
    points = series_of([host], since=0)["loss"]
    assert len(points) == min(count, MOST_POINTS)
    assert points[0] == (0, 0)
    assert points[-1] == (count - 1, count - 1)
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(points)]
    assert not gaps or max(gaps) <= count / MOST_POINTS * 2 + 1


def test_thinning_leaves_few_points_alone() -> None:
    points = [(random.random(), random.random()) for _ in range(10)]
    assert thinned(points) == points


BACKTRACKS = r"(a|aa)+=([0-9.]+)"  # on many an a: for years


def test_a_pattern_that_backtracks_is_given_up_and_stops_no_other_thread() -> None:
    given_up: list[str] = []
    host = FoundMetrics([("slow", search_for(BACKTRACKS)), *LOSS], give_up=given_up.append)
    ticks = 0
    is_over = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not is_over.wait(0.01):
            ticks += 1

    ticker = threading.Thread(target=tick)
    ticker.start()
    for at in range(100):
        host.read(at, f"{'a' * 100}b loss={at}")
    is_over.set()
    ticker.join()
    assert given_up == ["slow"]
    assert len(host.points("loss")) == 100
    assert ticks > 20, "other threads went on meanwhile"


def test_a_metric_far_out_in_a_line_is_not_looked_for() -> None:
    assert found((1, " " * (LONGEST_LINE - 6) + "loss=1"), (2, " " * LONGEST_LINE + "loss=2")).points("loss") == [
        (1, 1)
    ]


@pytest.mark.filterwarnings("ignore:Possible nested set")
@pytest.mark.parametrize(
    "pattern",
    [
        r"x{e}(\d)",
        r"x{e<2}(\d)",
        r"x{}(\d)",
        r"x{2}(\d)",
        r"x{,2}(\d)",
        r"\{s\}(\d)",
        r"[{s}](\d)",
        r"[[:alpha:]](\d)",
        r"[:s:](\d)",
        r"\\{i}(\d)",
    ],
)
def test_a_pattern_means_what_it_means_to_re(pattern: str) -> None:
    for line in ("x{e}1", "x{e<2}1", "x{}1", "xx1", "x1", "{s}1", "s1", "}1", "\\\\{i}1", "1", "\\1", "i1"):
        ours, exact = search_for(pattern)(line), re.search(pattern, line)
        assert (ours and ours.group(1)) == (exact and exact.group(1)), line


class BreaksOff(FakeRuntime):
    def timed_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[float, str]]:
        yield 1.0, "loss=0.5"
        raise WorldError("the engine closed the connection")


def test_a_log_that_breaks_off_ends_what_follows_it_in_words() -> None:
    series = followed_series(BreaksOff("p", FakeEngine(), Faults()), ["one"], LOSS, 0.0, every_seconds=0.01)
    with pytest.raises(WorldError, match="closed the connection"):
        list(series)


def test_read_from_the_end_the_latest_values_are_the_same() -> None:
    rng = random.Random(3)
    searches = [("a", re.compile(r"a=(\S+)").search), ("b", re.compile(r"b=(\S+)").search)]
    searches.append(("a", re.compile(r"other=(\S+)").search))
    words = ["a=1", "a=2", "b=3", "b=nan", "other=4", "a=5\rb=6\ra=7", "a=8 other=9", "nothing"]
    for _ in range(300):
        logs = [
            [(float(at), rng.choice(words)) for at in sorted(rng.choices(range(9), k=rng.randrange(6)))]
            for _ in range(2)
        ]
        hosts = [FoundMetrics(searches) for _ in logs]
        for host, lines in zip(hosts, logs, strict=True):
            for at, line in lines:
                host.read(at, line)
        assert latest_values(latest_points(searches, lines) for lines in logs) == final_values(series_of(hosts, 0.0))


def test_from_the_end_no_more_is_read_than_needed() -> None:
    looked_at: list[str] = []

    def search(text: str) -> re.Match[str] | None:
        looked_at.append(text)
        return re.search(r"loss=(\S+)", text)

    lines = [(float(at), f"loss={at}") for at in range(1000)]
    assert latest_points([("loss", search)], lines) == {"loss": (999.0, 999.0)}
    assert looked_at == ["loss=999"]
