"""One apply at a time: who holds the lock, who waits, who may take over, and how a loss is noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.events import Event
from sagespec.records.holder import Holder
from sagespec.records.lock import force_unlock, project_lock, read_lock
from sagespec.stores.directory import DirectoryStore
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Conflict, Store, StoreAway
from tests.contracts.servers import s3_server

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _holder(**changed: object) -> Holder:
    """A holder on another machine who took the lock at noon and renewed it then."""
    values = {
        "id": "c0ffee00",
        "user": "ada",
        "host": "runner-7",
        "machine": "another boot",
        "pid": 4242,
        "process_started": "1",
        "command": "apply",
        "taken_at": NOON,
        "renewed_at": NOON,
        "lease_seconds": 60.0,
    }
    return Holder.model_validate({**values, **changed})


def _put(store: Store, holder: Holder) -> None:
    store.write("shop/lock.json", holder.model_dump_json().encode())


HOLD = """
import sys, time
from sagespec.records.lock import project_lock
from sagespec.stores.open import open_store

with project_lock(open_store(sys.argv[1]), "shop", command="apply"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other_process(store: DirectoryStore) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, store.uri], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


# -- taking and giving back


def test_the_lock_names_its_holder_while_it_is_held_and_nobody_afterwards(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply") as lock:
        held = read_lock(store, "shop")
        assert held == lock.holder
        assert (held.pid, held.command) == (os.getpid(), "apply")
        lock.check()

    assert read_lock(store, "shop") is None


def test_it_is_given_back_when_the_work_fails(store: DirectoryStore) -> None:
    with pytest.raises(ZeroDivisionError), project_lock(store, "shop", command="apply"):
        _ = 1 / 0

    with project_lock(store, "shop", command="apply"):
        pass


def test_projects_do_not_wait_for_each_other(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply"), project_lock(store, "bank", command="apply"):
        pass


def test_of_many_at_once_one_holds_it_at_a_time(store: DirectoryStore) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with project_lock(
            DirectoryStore(Path(store.uri.removeprefix("file://"))),
            "shop",
            command="apply",
            wait_seconds=60,
            sleep=lambda _: threading.Event().wait(0.01),
        ):
            inside.append(number)
            most.append(len(inside))
            threading.Event().wait(0.005)
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))

    assert most == [1] * 16


@pytest.mark.s3
def test_in_a_bucket_too_one_holds_it_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with project_lock(open_store("s3://acme/store"), "shop", command="apply", wait_seconds=60):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with s3_server("moto") as server, ThreadPoolExecutor(4) as pool:
        server.activate(monkeypatch)
        list(pool.map(work, range(4)))

    assert most == [1] * 4


@pytest.mark.s3
def test_in_a_bucket_without_conditional_writes_it_is_taken_renewed_and_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with s3_server("rclone") as server:
        server.activate(monkeypatch)
        store = open_store("s3://acme/store")

        for _ in range(2):
            with project_lock(store, "shop", command="apply") as lock:
                lock.renew()
                lock.check()
                with (
                    pytest.raises(WorldError, match="the project is locked by sagespec apply"),
                    project_lock(store, "shop", command="apply"),
                ):
                    pass
        assert read_lock(store, "shop") is None


# -- a live holder


def test_a_live_holder_is_named_with_what_to_do(store: DirectoryStore, other_process: subprocess.Popen[bytes]) -> None:
    with pytest.raises(WorldError) as caught, project_lock(store, "shop", command="apply"):
        pass

    held = read_lock(store, "shop")
    assert held is not None
    assert str(caught.value).splitlines() == [
        f"the project is locked by sagespec apply of {held.user} on {held.host} "
        f"(pid {other_process.pid}, since {held.taken_at:%Y-%m-%d %H:%M:%S} UTC)",
        f"  why  process {other_process.pid} runs on this machine",
        f"  fix  wait for it with `--wait 10m`, or end it with: kill {other_process.pid}",
    ]


def test_a_suspended_process_still_holds_the_lock(
    store: DirectoryStore, other_process: subprocess.Popen[bytes], clock: Clock
) -> None:
    other_process.send_signal(signal.SIGSTOP)
    clock.now = datetime.now(UTC) + timedelta(days=1)

    with pytest.raises(WorldError, match=f"pid {other_process.pid}"):
        with project_lock(store, "shop", command="apply", clock=clock):
            pass


def test_a_live_holder_is_waited_for_and_told_once(store: DirectoryStore, clock: Clock) -> None:
    events: list[Event] = []
    lock = project_lock(store, "shop", command="watch")
    lock.__enter__()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now >= NOON + timedelta(seconds=5):
            lock.__exit__(None, None, None)

    with project_lock(store, "shop", command="apply", wait_seconds=30, report=events.append, clock=clock, sleep=sleep):
        pass

    assert [event.text.partition(" of ")[0] for event in events] == ["waiting for sagespec watch"]


class AwayFor(DirectoryStore):
    """A store that is away for so many reads, after the first."""

    def __init__(self, root: Path, reads: int) -> None:
        super().__init__(root)
        self.reads, self.away = 0, range(2, 2 + reads)

    def read(self, key: str) -> tuple[bytes, str] | None:
        self.reads += 1
        if self.reads in self.away:
            raise StoreAway("the server refused with 500")
        return super().read(key)


def test_a_holder_is_waited_for_while_the_store_is_away_for_a_moment(tmp_path: Path, clock: Clock) -> None:
    store = AwayFor(tmp_path / "store", reads=4)
    _put(store, _holder())

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if store.reads > 5:
            _put(store, _holder(released=True))

    with project_lock(store, "shop", command="apply", wait_seconds=20, clock=clock, sleep=sleep) as lock:
        lock.check()
    assert store.reads > 6


def test_a_store_that_is_away_until_the_wait_ends_is_what_is_told(tmp_path: Path, clock: Clock) -> None:
    store = AwayFor(tmp_path / "store", reads=1000)
    _put(store, _holder())
    with (
        pytest.raises(StoreAway, match="500"),
        project_lock(store, "shop", command="apply", wait_seconds=20, clock=clock, sleep=clock.sleep),
    ):
        raise AssertionError
    assert clock.now == NOON + timedelta(seconds=20)


def test_a_store_that_is_away_at_once_is_not_waited_for(tmp_path: Path, clock: Clock) -> None:
    store = AwayFor(tmp_path / "store", reads=1000)
    store.away = range(1000)
    with (
        pytest.raises(StoreAway, match="500"),
        project_lock(store, "shop", command="apply", wait_seconds=20, clock=clock, sleep=clock.sleep),
    ):
        raise AssertionError
    assert clock.now == NOON


class ReadOnly(DirectoryStore):
    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        raise StoreAway("cannot write: read-only file system")


def test_nobody_is_waited_for_where_a_free_lock_cannot_be_written(tmp_path: Path, clock: Clock) -> None:
    _put(DirectoryStore(tmp_path / "store"), _holder(released=True))
    with (
        pytest.raises(StoreAway, match="read-only"),
        project_lock(
            ReadOnly(tmp_path / "store"), "shop", command="apply", wait_seconds=20, clock=clock, sleep=clock.sleep
        ),
    ):
        raise AssertionError
    assert clock.now == NOON


def test_waiting_ends(store: DirectoryStore, clock: Clock) -> None:
    with project_lock(store, "shop", command="watch"):
        with pytest.raises(WorldError, match="locked by sagespec watch"):
            with project_lock(store, "shop", command="apply", wait_seconds=30, clock=clock, sleep=clock.sleep):
                pass

    assert clock.now == NOON + timedelta(seconds=30)


# -- a dead holder


def test_the_lock_of_a_killed_process_is_taken_at_once(
    store: DirectoryStore, other_process: subprocess.Popen[bytes]
) -> None:
    events: list[Event] = []
    other_process.kill()  # not waited for: it stays as a zombie

    while True:
        try:
            with project_lock(store, "shop", command="apply", report=events.append):
                break
        except WorldError:
            continue  # the kernel has not ended it yet

    assert len(events) == 1
    assert f"(pid {other_process.pid}, " in events[0].text
    assert events[0].text.endswith("that process is gone")


def test_another_process_under_the_holders_pid_does_not_hold_the_lock(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply") as lock:
        mine = lock.holder
    _put(store, mine.model_copy(update={"process_started": "1"}))

    with project_lock(store, "shop", command="apply"):
        pass


def test_the_same_pid_on_another_machine_is_judged_by_its_lease(store: DirectoryStore, clock: Clock) -> None:
    _put(store, _holder(pid=2**22 + 1))  # no process here can have it

    with pytest.raises(WorldError) as caught, project_lock(store, "shop", command="apply", clock=clock):
        pass

    assert "locked by sagespec apply of ada on runner-7" in str(caught.value)
    assert "renewed 0 s ago; a dead holder's lock is free after 120 s" in str(caught.value)


def test_a_lease_that_ended_long_ago_by_any_clock_is_taken_over_at_once(store: DirectoryStore, clock: Clock) -> None:
    events: list[Event] = []
    _put(store, _holder())
    clock.now = NOON + timedelta(seconds=121)

    with project_lock(store, "shop", command="apply", report=events.append, clock=clock):
        pass

    assert [event.text for event in events] == [
        "took over from sagespec apply of ada on runner-7 (pid 4242, since 2026-03-01 12:00:00 UTC): "
        "not renewed since 2026-03-01 12:00:00 UTC"
    ]


@pytest.mark.parametrize("ahead_seconds", [-59, 0, 3600])
def test_a_dead_holder_whose_clock_was_wrong_is_watched_for_a_lease(
    store: DirectoryStore, clock: Clock, ahead_seconds: int
) -> None:
    _put(store, _holder(renewed_at=NOON + timedelta(seconds=ahead_seconds)))

    with project_lock(store, "shop", command="apply", wait_seconds=300, clock=clock, sleep=clock.sleep):
        assert timedelta(seconds=60) <= clock.now - NOON <= timedelta(seconds=62)


def test_a_holder_elsewhere_who_renews_is_never_taken_over(store: DirectoryStore, clock: Clock) -> None:
    _put(store, _holder())

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now.second % 15 == 0:
            _put(store, _holder(renewed_at=clock.now))

    with pytest.raises(WorldError, match="runner-7"):
        with project_lock(store, "shop", command="apply", wait_seconds=600, clock=clock, sleep=sleep):
            pass


def test_two_who_take_over_at_once_do_not_both_get_it(store: DirectoryStore) -> None:
    _put(store, _holder())
    begin, release = threading.Barrier(6), threading.Barrier(6)

    def attempt(_: int) -> bool:
        begin.wait()
        try:
            with project_lock(store, "shop", command="apply"):
                release.wait()
                return True
        except WorldError:
            release.wait()
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1


# -- keeping it


def _steal(store: Store) -> None:
    _put(store, _holder(host="thief"))


def test_a_takeover_is_noticed_by_the_next_renewal(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply") as lock:
        _steal(store)
        assert not lock.lost.is_set()

        lock.renew()

        assert lock.lost.is_set()
        with pytest.raises(WorldError, match=r"was lost: taken over by sagespec apply of ada on thief"):
            lock.check()

    held = read_lock(store, "shop")
    assert held is not None
    assert held.host == "thief"  # leaving did not free what is not ours


def test_the_thread_renews_and_notices(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply", lease_seconds=0.4) as lock:
        taken = lock.holder.renewed_at
        threading.Event().wait(0.5)
        assert lock.holder.renewed_at > taken
        lock.check()
        _steal(store)
        assert lock.lost.wait(5)


def test_a_machine_that_slept_past_its_lease_looks_before_it_goes_on(store: DirectoryStore, clock: Clock) -> None:
    with project_lock(store, "shop", command="apply", clock=clock) as lock:
        clock.sleep(3600)
        lock.check()
        assert lock.holder.renewed_at == clock.now

        _steal(store)
        clock.sleep(3600)
        with pytest.raises(WorldError, match="thief"):
            lock.check()


class Unreachable(DirectoryStore):
    """A store that can be cut off, and that can lose the answer to a write."""

    down = False
    forgetful = False
    unheard = False

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if self.down:
            raise WorldError("s3://acme does not answer")
        etag = super().write(key, data, if_absent=if_absent, if_match=if_match)
        if self.unheard:
            raise WorldError("s3://acme does not answer")
        if self.forgetful:
            raise Conflict("the repeat of a write whose answer was lost")
        return etag


def test_a_store_that_is_away_for_less_than_the_lease_costs_nothing(tmp_path: Path, clock: Clock) -> None:
    store = Unreachable(tmp_path)
    with project_lock(store, "shop", command="apply", clock=clock) as lock:
        store.down = True
        clock.sleep(50)
        lock.renew()
        lock.check()
        store.down = False


def test_a_store_that_is_away_for_longer_costs_the_lock(tmp_path: Path, clock: Clock) -> None:
    store = Unreachable(tmp_path)
    with project_lock(store, "shop", command="apply", clock=clock) as lock:
        store.down = True
        clock.sleep(61)
        with pytest.raises(WorldError, match="could not be renewed for 60 s: s3://acme does not answer"):
            lock.check()


def test_a_write_whose_answer_was_lost_is_known_as_ours(tmp_path: Path) -> None:
    store = Unreachable(tmp_path)
    store.forgetful = True

    with project_lock(store, "shop", command="apply") as lock:
        lock.renew()
        lock.renew()
        lock.check()
    assert read_lock(store, "shop") is None


def test_a_renewal_that_went_through_unheard_does_not_keep_the_lock_from_being_renewed_and_freed(
    tmp_path: Path, clock: Clock
) -> None:
    store = Unreachable(tmp_path)
    for again in (True, False):
        with project_lock(store, "shop", command="watch", clock=clock) as lock:
            clock.sleep(10)
            store.unheard = True
            lock.renew()
            store.unheard = False
            if again:
                clock.sleep(10)
                lock.renew()
                assert lock.holder.renewed_at == clock.now
        assert read_lock(store, "shop") is None


def test_a_lock_that_this_process_could_not_give_back_is_free_after_its_lease(tmp_path: Path, clock: Clock) -> None:
    store = Unreachable(tmp_path)
    with project_lock(store, "shop", command="watch", clock=clock):
        store.down = True
    store.down = False

    with project_lock(store, "shop", command="watch", wait_seconds=90, clock=clock, sleep=clock.sleep):
        assert clock.now - NOON > timedelta(seconds=60)


def test_a_lock_removed_by_hand_is_lost(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply") as lock:
        store.delete("shop/lock.json")
        lock.renew()
        with pytest.raises(WorldError, match="its file was removed"):
            lock.check()


# -- by force


def test_force_needs_the_id_of_the_lock_that_was_seen(store: DirectoryStore) -> None:
    _put(store, _holder())

    with pytest.raises(WorldError, match="has id c0ffee00, not deadbeef: it is held by sagespec apply of ada"):
        force_unlock(store, "shop", "deadbeef")
    assert force_unlock(store, "shop", "c0ffee00").host == "runner-7"

    with pytest.raises(WorldError, match="is not locked"):
        force_unlock(store, "shop", "c0ffee00")
    with project_lock(store, "shop", command="apply"):
        pass


def test_a_holder_notices_that_it_was_forced(store: DirectoryStore) -> None:
    with project_lock(store, "shop", command="apply") as lock:
        force_unlock(store, "shop", lock.holder.id)
        lock.renew()
        with pytest.raises(WorldError, match="it was forced open"):
            lock.check()


def test_a_damaged_lock_is_reported_not_broken(store: DirectoryStore) -> None:
    store.write("shop/lock.json", b"{")

    with pytest.raises(WorldError, match=r"shop/lock\.json is damaged") as caught:
        with project_lock(store, "shop", command="apply"):
            pass
    assert "fix  make sure that none is, then delete that file" in str(caught.value)
