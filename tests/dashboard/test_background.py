"""However many ask, looking takes a small share of the time; and what was changed is seen at once."""

from __future__ import annotations

import time

from sagespec.dashboard.background import SHARE, Background
from sagespec.errors import Problem, WorldError


class Busy:
    """Something whose look takes a while of a core."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.looks = 0
        self.worked = 0.0

    def look(self) -> int:
        begun = time.thread_time()
        while time.thread_time() - begun < self.seconds:
            pass
        self.worked += time.thread_time() - begun
        self.looks += 1
        return self.looks


def test_ten_tabs_cost_no_more_than_one() -> None:
    busy = Busy()
    background = Background(busy.look, every_seconds=0.0)
    begun = time.monotonic()
    while (lasted := time.monotonic() - begun) < 3.0:
        for _ in range(10):
            background.last()
        time.sleep(0.01)
    assert busy.looks > 1
    assert busy.worked <= SHARE * lasted + 2 * 0.03  # the first and the last


def test_after_a_change_one_waits_for_a_new_look() -> None:
    background = Background(Busy().look, every_seconds=60.0)
    assert background.last().value == background.last().value == 1
    background.forget()
    assert background.last().value == 2


def test_what_happens_is_looked_at_before_its_share_of_the_core_allows_it() -> None:
    happened = [0]
    background = Background(Busy(0.2).look, every_seconds=0.0, news=lambda: len(happened))
    assert background.last().value == 1
    happened.append(1)
    begun = time.monotonic()
    while background.last().value == 1:
        time.sleep(0.01)
    assert time.monotonic() - begun < 0.2 / SHARE


def test_a_look_that_fails_leaves_what_was_seen_and_says_why() -> None:
    found: list[int | Exception] = [7, WorldError("the engine is away"), RuntimeError("a bug")]

    def look() -> int:
        one = found.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    background = Background(look, every_seconds=60.0)
    looks = [background.last()]
    for _ in range(2):
        background.forget()
        looks.append(background.last())
    assert [look.value for look in looks] == [7, 7, 7]
    assert looks[1].problems == (Problem("the engine is away"),)
    assert looks[2].problems[0].what == "RuntimeError: a bug"
