"""What has failed is tried again later each time, or never in this run."""

from __future__ import annotations

import math

import pytest

from sagespec.apply.failures import Failures
from tests.fakes import SettableClock


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def test_a_run_that_ends_tries_nothing_twice(clock: SettableClock) -> None:
    failures = Failures(monotonic=clock.monotonic)
    failures.add("a")
    clock.sleep(10**6)
    assert failures.ids == {"a"}
    assert failures.seconds_left == math.inf


def test_the_pauses_double_up_to_a_minute(clock: SettableClock) -> None:
    failures = Failures(is_patient=True, monotonic=clock.monotonic)
    pauses = []
    for _ in range(8):
        failures.add("a")
        pauses.append(failures.seconds_left)
        clock.sleep(pauses[-1] - 0.01)
        assert failures.ids == {"a"}
        clock.sleep(0.01)
        assert failures.ids == set()
        assert failures.seconds_left == math.inf
    assert pauses == pytest.approx([2, 4, 8, 16, 32, 60, 60, 60])


@pytest.mark.parametrize("end", [lambda failures: failures.forget("a"), lambda failures: failures.clear()])
def test_success_and_an_edit_begin_the_pauses_anew(clock: SettableClock, end: object) -> None:
    failures = Failures(is_patient=True, monotonic=clock.monotonic)
    failures.add("a")
    failures.add("a")
    assert failures.seconds_left == 4
    assert callable(end)
    end(failures)
    assert failures.ids == set()
    failures.add("a")
    assert failures.seconds_left == 2


def test_each_has_a_pause_of_its_own(clock: SettableClock) -> None:
    failures = Failures(is_patient=True, monotonic=clock.monotonic)
    failures.add("a")
    failures.add("b")
    failures.add("b")
    assert failures.seconds_left == 2
    clock.sleep(2)
    assert failures.ids == {"b"}
    failures.forget("nothing of that name")
    assert failures.seconds_left == 2
