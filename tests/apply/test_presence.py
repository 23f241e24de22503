"""How a run shows itself to others."""

from __future__ import annotations

from datetime import timedelta

from sagespec.apply.presence import Presence
from sagespec.errors import WorldError
from sagespec.records.holder import Doing
from sagespec.records.leases import Leases
from tests.fakes.clock import START, SettableClock
from tests.fakes.specs import PROJECT
from tests.fakes.store import FakeStore


class _CountingStore(FakeStore):
    """writes: all that were tried. is_away: none of them arrives."""

    writes = 0
    is_away = False

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        self.writes += 1
        if self.is_away:
            raise WorldError("the store does not answer")
        return super().write(key, data, if_absent=if_absent, if_match=if_match)


class _Place:
    def __init__(self) -> None:
        self.clock = SettableClock(START)
        self.store = _CountingStore({})
        self.leases = Leases(self.store, PROJECT, command="watch", clock=self.clock.now)
        self.presence = Presence()

    def says(self, seconds: float, *waits_for: str) -> None:
        """What it waits for, and that it looks again so many seconds after the START."""
        self.presence.say(Doing(waits_for=waits_for, looks_again_at=START + timedelta(seconds=seconds)), self.leases)

    @property
    def seen(self) -> Doing:
        (run,) = Leases(self.store, PROJECT, clock=self.clock.now).look().runs
        return run.doing


def test_what_a_run_waits_for_is_seen_at_once_and_gone_when_it_leaves() -> None:
    place = _Place()
    place.says(30)
    place.says(30, "job/slow@1 to end")
    assert place.seen.waits_for == ("job/slow@1 to end",)
    place.presence.leave()
    assert Leases(place.store, PROJECT).look().runs == ()


def test_a_new_time_is_seen_and_one_that_has_hardly_moved_is_not_written() -> None:
    place = _Place()
    place.says(30)
    for seconds in range(31, 35):
        place.says(seconds)
    assert place.store.writes == 1
    place.says(35)
    assert (place.store.writes, place.seen.looks_again_at) == (2, START + timedelta(seconds=35))


def test_a_store_that_is_away_is_not_waited_for_again_and_again() -> None:
    place = _Place()
    place.says(30)
    place.clock.sleep(31)  # no renewal has arrived
    place.store.is_away = True
    tried = place.store.writes
    for seconds in range(60, 600, 30):
        place.says(seconds, f"something else after {seconds} s")
    assert place.store.writes == tried
    place.store.is_away = False
    place.presence.leave()
