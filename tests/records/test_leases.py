"""Who follows which job: two who want it, dead holders here and elsewhere, jobs that are taken away, what is swept."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import pytest

from sagespec.errors import WorldError
from sagespec.events import Event
from sagespec.records.holder import SKEW, Doing
from sagespec.records.lease import LEASE_SECONDS, LeaseLost
from sagespec.records.leases import SEIZE_TRIES, AtWork, FollowedElsewhere, Leases
from sagespec.state.addresses import job_address
from sagespec.stores.protocol import Entry
from tests.fakes import START, FakeStore, SettableClock

JOB, OTHER = job_address("churn", 1), job_address("churn", 2)
KEY, OTHER_KEY = "shop/active/jobs/churn/1.json", "shop/active/jobs/churn/2.json"
LEASE = timedelta(seconds=LEASE_SECONDS)


class Runs:
    """Several runs on one store. All are in this process, so to each other they are as on other machines."""

    def __init__(self) -> None:
        self.clock = SettableClock(START)
        self.store = FakeStore()

    def one(self, specs: str = "/here") -> Leases:
        return Leases(self.store, "shop", command="watch", specs=specs, clock=self.clock.now)

    def change(self, key: str, **fields: object) -> None:
        self.store.objects[key] = json.dumps(json.loads(self.store.objects[key]) | fields).encode()

    @property
    def keys(self) -> list[str]:
        return sorted(self.store.objects)


@pytest.fixture
def runs() -> Runs:
    return Runs()


def test_a_follower_is_seen_by_itself_as_such_and_by_others(runs: Runs) -> None:
    one, other, elsewhere = runs.one(), runs.one(), runs.one(specs="/another/checkout")
    with one.follow(JOB):
        (ours,) = one.look().followers.values()
        (theirs,) = other.look().followers.values()
        assert (ours.is_ours, theirs.is_ours) == (True, False)
        assert theirs.by.startswith("sagespec watch of ")
        assert theirs.since == START
        assert theirs.reads_our_specs
        assert not elsewhere.look().followers[JOB].reads_our_specs
        assert not runs.one(specs="").look().followers[JOB].reads_our_specs
        assert not Leases(runs.store, "shopping").look().followers
    assert not other.look().followers, "it was given back"


def test_what_somebody_alive_follows_is_not_to_be_had(runs: Runs) -> None:
    one, other = runs.one(), runs.one()
    with one.follow(JOB):
        with pytest.raises(FollowedElsewhere, match="job/churn@1 is followed by sagespec watch of"):
            other.follow(JOB)
        with pytest.raises(FollowedElsewhere):
            one.follow(JOB)
        other.follow(OTHER)
    with other.follow(JOB):
        assert other.look().followers[JOB].is_ours


def test_of_two_who_take_it_at_once_one_has_it(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = runs.one(), runs.one()
    write = runs.store.write

    def overtaken(key: str, data: bytes, **more: object) -> str:
        monkeypatch.setattr(runs.store, "write", write)
        one.follow(JOB)
        return write(key, data, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(runs.store, "write", overtaken)
    with pytest.raises(FollowedElsewhere, match="by another run since just now"):
        other.follow(JOB)


@pytest.mark.parametrize(
    ("fields", "is_dead"),
    [
        ({}, False),  # of this process, by its time
        ({"process_started": "before all others"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"machine": "another boot", "process_started": "before all others"}, False),
    ],
)
def test_a_holder_here_is_dead_when_its_process_is(runs: Runs, fields: dict[str, object], is_dead: bool) -> None:
    one, other, events = runs.one(), runs.one(), list[Event]()
    one.follow(JOB)
    runs.change(KEY, **fields)
    assert (other.look().followers == {}) is is_dead
    if is_dead:
        other.follow(JOB, events.append)
        (told,) = events
        assert told.text.startswith("took over from sagespec watch of ")
        assert told.text.endswith("that process is gone")
        assert one.look().followers[JOB].is_ours is False
    else:
        with pytest.raises(FollowedElsewhere):
            other.follow(JOB)


def test_a_holder_elsewhere_is_dead_when_it_was_seen_unchanged_for_a_lease(runs: Runs) -> None:
    one, other = runs.one(), runs.one()
    one.follow(JOB)
    runs.change(KEY, machine="another boot", renewed_at=(START + timedelta(hours=5)).isoformat())  # its clock is ahead
    other.look()
    runs.clock.sleep(LEASE_SECONDS)
    assert other.look().followers
    runs.clock.sleep(0.1)
    assert not other.look().followers


def test_a_holder_elsewhere_that_renews_lives(runs: Runs) -> None:
    one, other = runs.one(), runs.one()
    lease = one.follow(JOB)
    for _ in range(20):
        runs.clock.sleep(LEASE_SECONDS * 0.9)
        lease.renew()
        assert other.look().followers
    assert runs.one().look().followers, "whoever looks for the first time"


def test_a_holder_elsewhere_is_dead_at_first_sight_after_its_lease_and_the_skew(runs: Runs) -> None:
    one = runs.one()
    one.follow(JOB)
    runs.clock.sleep((LEASE + SKEW).total_seconds())
    assert runs.one().look().followers
    runs.clock.sleep(1)
    assert not runs.one().look().followers
    assert one.look().followers, "it knows of itself that it is alive, and renews before it writes"


def test_what_is_seized_is_lost_to_its_follower_and_anybodys_then(runs: Runs) -> None:
    one, other = runs.one(), runs.one()
    with one.follow(JOB) as lease:
        other.seize(JOB)
        assert not other.look().followers
        runs.clock.sleep(2)
        with pytest.raises(LeaseLost, match=r"the lease of job/churn@1 was lost: taken away by"):
            lease.check_now()
        theirs = dict(runs.store.objects)
    assert runs.store.objects == theirs
    with other.follow(JOB):
        pass


@pytest.mark.parametrize("renewals", [1, SEIZE_TRIES - 1, SEIZE_TRIES])
def test_a_lease_that_is_renewed_meanwhile_is_seized_all_the_same(runs: Runs, renewals: int) -> None:
    one, other, left = runs.one(), runs.one(), list(range(renewals))
    lease = one.follow(JOB)

    def renew_first(_text: str) -> None:
        if left:
            left.pop()
            runs.store.faults.fail = lambda _: None
            runs.clock.sleep(1)
            lease.renew()
            runs.store.faults.fail = renew_first

    runs.store.faults.fail = renew_first
    if renewals == SEIZE_TRIES:
        with pytest.raises(WorldError, match=r"the lease of job/churn@1 could not be taken from its follower"):
            other.seize(JOB)
    else:
        other.seize(JOB)
        with pytest.raises(LeaseLost, match="taken away by"):
            lease.check_now()


def test_ones_own_is_not_seized(runs: Runs) -> None:
    one = runs.one()
    with one.follow(JOB) as lease:
        one.seize(JOB)
        one.seize(OTHER)
        runs.clock.sleep(2)
        lease.check_now()
    one.seize(JOB)
    assert runs.keys == [KEY]


def test_ones_own_that_could_not_be_given_back_is_taken_again(runs: Runs) -> None:
    one = runs.one()
    with one.follow(JOB):
        runs.store.faults.fail = lambda _text: WorldError("the store is away")
    runs.store.faults.fail = lambda _text: None
    assert not one.look().followers
    one.sweep([JOB])
    assert runs.keys == [KEY]
    with one.follow(JOB):
        assert one.look().followers[JOB].is_ours


@pytest.mark.parametrize("is_lost", [False, True], ids=["given back", "lost"])
def test_a_lease_that_is_over_is_not_kept_in_memory(runs: Runs, is_lost: bool) -> None:
    """A `watch` of months follows many jobs."""
    one = runs.one()
    with one.follow(JOB) as lease:
        if is_lost:
            del runs.store.objects[KEY]
            runs.clock.sleep(1)
            lease.renew()
    over = weakref.ref(lease)
    del lease
    with one.follow(OTHER):
        gc.collect()
        assert over() is None


@pytest.mark.parametrize("is_wanted", [False, True])
@pytest.mark.parametrize(
    ("end", "is_kept"),
    [
        (lambda runs: runs.change(KEY, released=True), False),
        (lambda runs: runs.change(KEY, process_started="before all others"), True),  # whoever is next says so
        (lambda runs: runs.store.objects.update({KEY: b"{"}), False),
        (lambda runs: None, True),
    ],
    ids=["given back", "dead", "damaged", "alive"],
)
def test_what_is_over_is_swept(runs: Runs, end: Callable[[Runs], None], is_kept: bool, is_wanted: bool) -> None:
    one, other = runs.one(), runs.one()
    one.follow(JOB)
    end(runs)
    is_alive = JOB in other.look().followers
    other.sweep([JOB] if is_wanted else [OTHER])
    assert (KEY in runs.keys) is (is_alive or (is_kept and is_wanted))
    other.sweep([])
    assert (KEY in runs.keys) is (is_alive or (is_kept and is_wanted)), "it goes by the last look, once"
    if not is_alive:
        with other.follow(JOB):
            pass


def test_stop_requests_are_seen_and_not_swept(runs: Runs) -> None:
    one = runs.one()
    runs.store.write("shop/active/stops/churn/2.json", b"{}")
    assert one.look().stops == {OTHER}
    assert not one.look().followers
    one.sweep([])
    assert runs.keys == ["shop/active/stops/churn/2.json"]


@pytest.mark.parametrize(
    "name",
    [
        "stops/x.json",
        "stops/churn/latest.json",
        "stops/churn/1.json.tmp",
        "jobs/x.json",
        "jobs/churn/latest.json",
        "jobs/churn/1.json~",
        "runs/a/b.json",
        "rollbacks/a/b.json",
        "pauses/churn.json",
        "README.md",
    ],
)
def test_what_only_a_later_release_knows_is_left_alone(runs: Runs, name: str) -> None:
    one, key = runs.one(), f"shop/active/{name}"
    runs.store.write(key, b"{}")
    assert one.look() == AtWork()
    one.sweep([])
    assert runs.keys == [key]


def test_runs_are_seen_while_they_live_the_oldest_first(runs: Runs) -> None:
    one, other = runs.one(), runs.one()
    other.announce(Doing(waits_for=("job/churn@1 to end",)))
    runs.clock.sleep(1)
    late = other.announce(Doing(queued=("job/churn@2",)))
    assert [run.doing.waits_for for run in one.look().runs] == [("job/churn@1 to end",), ()]
    with late:
        late.carry(doing=Doing(queued=("job/churn@3",)))
        late.renew()
        assert one.look().runs[1].doing.queued == ("job/churn@3",)
    assert len(one.look().runs) == 1
    one.sweep([])
    assert len(runs.keys) == 1


def test_a_look_costs_a_listing_and_a_read_for_each_that_is_at_work(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = runs.one()
    one.follow(JOB)
    one.announce(Doing())
    for version in range(50):
        runs.store.write(f"shop/active/stops/churn/{version}.json", b"{}")
    read, listed = list[str](), list[str]()
    reads, lists = runs.store.read_many, runs.store.entries

    def read_many(keys: Iterable[str]) -> Mapping[str, bytes]:
        read.extend(keys)
        return reads(read)

    def entries(prefix: str) -> tuple[Entry, ...]:
        listed.append(prefix)
        return lists(prefix)

    monkeypatch.setattr(runs.store, "read_many", read_many)
    monkeypatch.setattr(runs.store, "entries", entries)
    one.look()
    assert listed == ["shop/active/"]
    assert len(read) == 2
