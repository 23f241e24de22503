"""A lease that is held: renewed, checked, lost, given back, also while the store is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sagespec.errors import WorldError
from sagespec.records.holder import holder_here
from sagespec.records.lease import LEASE_SECONDS, Lease, LeaseLost, as_bytes, read_lease, try_to_take
from tests.fakes import FakeStore, SteppedClock

KEY = "shop/active/jobs/churn/1.json"


class OddStore(FakeStore):
    """deaf: does what it is asked, and the answer is lost, so often; then the client repeats it."""

    deaf = 0

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        etag = super().write(key, data, if_absent=if_absent, if_match=if_match)
        if self.deaf:
            self.deaf -= 1
            return super().write(key, data, if_absent=if_absent, if_match=if_match)
        return etag


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def store() -> OddStore:
    return OddStore()


@pytest.fixture
def held(store: OddStore, clock: SteppedClock) -> Iterator[Lease]:
    with take(store, clock) as lease:
        wait_until(lambda: clock.sleepers == 1)
        yield lease


def take(store: FakeStore, clock: SteppedClock) -> Lease:
    found = try_to_take(store, KEY, holder_here("apply", LEASE_SECONDS, clock.now()), read_lease(store, KEY))
    assert found
    return Lease(store, KEY, found, what="the lease of job/churn@1", clock=clock.now, wait=clock.sleep)


def wait_until(is_so: Callable[[], bool], within_seconds: float = 10) -> None:
    for _ in range(int(within_seconds * 1000)):
        if is_so():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came to that")


def go_away(store: FakeStore) -> None:
    store.faults.fail = lambda _text: WorldError("the store is away")


def come_back(store: FakeStore) -> None:
    store.faults.fail = lambda _text: None


def test_it_is_renewed_while_it_is_held_and_marked_when_it_is_given_back(store: OddStore, clock: SteppedClock) -> None:
    with take(store, clock) as lease:
        wait_until(lambda: clock.sleepers == 1)
        for _ in range(8):
            clock.advance(LEASE_SECONDS / 4)
        assert lease.holder.renewed_at == clock.now()
        assert lease.is_held
    found = read_lease(store, KEY)
    assert found
    assert found.holder.released
    assert not lease.is_held


def test_a_check_asks_the_store_where_it_must_be_so_now(store: OddStore, held: Lease) -> None:
    before = len(store.faults.calls)
    held.check()
    assert len(store.faults.calls) == before, "renewed a moment ago: enough for what is soon over"
    held.check_now()
    assert len(store.faults.calls) == before + 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": "another"}, "was lost: taken over by sagespec apply"),
        ({"released": True}, "was lost: it was forced open"),
        (None, "was lost: its file was removed"),
    ],
)
def test_one_that_was_taken_is_lost_for_good(
    store: OddStore, clock: SteppedClock, held: Lease, changes: dict[str, object] | None, why: str
) -> None:
    if changes is None:
        store.delete(KEY)
    else:
        store.write(KEY, as_bytes(held.holder.model_copy(update=changes)))
    theirs = dict(store.objects)
    clock.advance(1)
    with pytest.raises(LeaseLost, match=why):
        held.check_now()
    with pytest.raises(LeaseLost):
        held.check()
    clock.advance(LEASE_SECONDS)
    held.__exit__()
    assert store.objects == theirs, "whoever lost it writes nothing, at its end either"


def test_a_store_that_conflicts_with_itself_costs_nothing(store: OddStore, clock: SteppedClock, held: Lease) -> None:
    store.deaf = 1
    clock.advance(1)
    held.check_now()
    clock.advance(1)
    held.check_now()
    assert held.holder.renewed_at == clock.now()


def test_a_lease_is_taken_though_the_store_conflicts_with_itself(store: OddStore, clock: SteppedClock) -> None:
    store.deaf = 1
    with take(store, clock) as lease:
        clock.advance(1)
        lease.check_now()
    store.deaf = 1
    take(store, clock)


def test_of_two_who_take_it_at_once_one_has_it(store: OddStore, clock: SteppedClock) -> None:
    one, other = (holder_here("apply", LEASE_SECONDS, clock.now()) for _ in range(2))
    assert try_to_take(store, KEY, one, None)
    assert try_to_take(store, KEY, other, None) is None
    present = read_lease(store, KEY)
    assert try_to_take(store, KEY, other, present)
    assert try_to_take(store, KEY, one, present) is None


def test_while_the_store_is_away_it_holds_for_a_lease_and_after_that_nobody_can_tell(
    store: OddStore, clock: SteppedClock, held: Lease
) -> None:
    go_away(store)
    clock.advance(LEASE_SECONDS - 1)
    held.check_now()
    clock.advance(2)
    with pytest.raises(WorldError, match="could not be renewed for 60 s: the store is away") as caught:
        held.check_now()
    assert not isinstance(caught.value, LeaseLost), "the store may answer again"
    come_back(store)
    clock.advance(3600)
    held.check_now()
    assert held.is_held


def test_taken_while_the_store_was_away_it_is_lost_when_it_is_back(
    store: OddStore, clock: SteppedClock, held: Lease
) -> None:
    go_away(store)
    clock.advance(LEASE_SECONDS * 3)
    store.objects[KEY] = as_bytes(held.holder.model_copy(update={"id": "another"}))
    come_back(store)
    with pytest.raises(LeaseLost, match="taken over"):
        held.check_now()


def test_one_that_cannot_be_given_back_is_so_when_the_store_is_back(store: OddStore, clock: SteppedClock) -> None:
    with take(store, clock) as lease:
        go_away(store)
    assert not lease.is_held
    wait_until(lambda: clock.sleepers == 1)
    clock.advance(LEASE_SECONDS)
    assert not lease.holder.released
    come_back(store)
    clock.advance(LEASE_SECONDS)
    found = read_lease(store, KEY)
    assert found
    assert found.holder.released, "else it would be this process's for as long as that lives"


def test_one_that_could_not_be_given_back_leaves_alone_whoever_took_it(store: OddStore, clock: SteppedClock) -> None:
    with take(store, clock) as lease:
        go_away(store)
    wait_until(lambda: clock.sleepers == 1)
    taken = as_bytes(lease.holder.model_copy(update={"id": "another"}))
    store.objects[KEY] = taken
    come_back(store)
    clock.advance(LEASE_SECONDS)
    assert store.objects[KEY] == taken
    assert clock.sleepers == 0


def test_what_is_carried_is_written_with_the_next_renewal(store: OddStore, clock: SteppedClock, held: Lease) -> None:
    held.carry(specs="/elsewhere")
    found = read_lease(store, KEY)
    assert found
    assert found.holder.specs == ""
    held.renew()
    found = read_lease(store, KEY)
    assert found
    assert found.holder.specs == "/elsewhere"


def test_a_damaged_one_is_no_lease(store: OddStore) -> None:
    store.write(KEY, b"{}")
    with pytest.raises(WorldError, match="is damaged"):
        read_lease(store, KEY)
