"""A clock for the SDKs' modules: short sleeps, and nothing else is noticed of it."""

from __future__ import annotations

import time

import pytest

from sagespec.notebook import clock
from sagespec.notebook.clock import Clock, ShortSleeps


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept; nobody sleeps."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def test_a_long_sleep_is_cut_short_and_a_short_one_is_not(slept: list[float]) -> None:
    ours = Clock()
    ours.sleep(30)
    ours.sleep(0.1)
    assert slept == [clock.POLL_SECONDS, 0.1]


def test_the_job_is_looked_at_after_every_poll_of_its_log(slept: list[float]) -> None:
    """The SDKs' own lines: `time.sleep(10)`, then `time.time() - last_describe_job_call >= 30`."""
    ours = Clock()
    last = ours.time()
    assert not ours.time() - last >= 30
    ours.sleep(10)
    assert ours.time() - last >= 30
    last = ours.time()
    assert not ours.time() - last >= 30


def test_a_deadline_is_that_of_the_real_clock(slept: list[float]) -> None:
    """`request_end_time = time.time() + timeout`, later `time.time() > request_end_time`."""
    ours = Clock()
    end = ours.time() + 60
    for _ in range(100):
        ours.sleep(10)
    assert not ours.time() > end


def test_a_deadline_by_subtraction_is_kept_where_the_sdk_has_one(slept: list[float]) -> None:
    """SDK 3: `time.time() - start_time >= timeout`."""
    ours = ShortSleeps()
    start = ours.time()
    for _ in range(100):
        ours.sleep(5)
    assert not ours.time() - start >= 20


def test_everything_else_is_pythons_own() -> None:
    assert Clock().strftime is time.strftime
    assert time.gmtime(Clock().time()).tm_year >= 2026
