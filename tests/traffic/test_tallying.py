"""Several processes that take the same gateway's counts into the same store."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.records.records import Records
from sagespec.records.tallies import Tallies
from sagespec.state.counts import Counts, Reading
from sagespec.stores.directory import DirectoryStore
from sagespec.traffic.tallying import count, count_all, count_before, reading_of, tally_now


class Growing:
    """A gateway that counts one request more of each target, each time it is asked, as long as it answers."""

    def __init__(self) -> None:
        self.requests, self.answers = 0, True
        self._lock = threading.Lock()

    def readings(self) -> Mapping[str, Reading]:
        if not self.answers:
            raise WorldError("the gateway does not answer")
        with self._lock:
            self.requests += 1
            targets = ("stable/1-a", "two/1-b")
            counts = {target: Counts(requests=self.requests) for target in targets}
            return {"churn": Reading("g", counts, dict.fromkeys(targets, 0.5))}


def test_two_processes_count_nothing_twice(tmp_path: Path) -> None:
    gateway, stores = Growing(), [DirectoryStore(tmp_path / "store") for _ in range(4)]
    records = [Records(store, "acme") for store in stores]

    def look(mine: Records) -> None:
        for _ in range(15):
            count("churn", mine, gateway)

    threads = [threading.Thread(target=look, args=(mine,)) for mine in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count("churn", records[0], gateway)
    assert Tallies(stores[0], "acme").read("churn")[0].targets["stable/1-a"].requests == gateway.requests


def test_without_the_gateway_what_there_is_stays(tmp_path: Path) -> None:
    gateway, records = Growing(), Records(DirectoryStore(tmp_path / "store"), "acme")
    count("churn", records, gateway)
    gateway.answers = False
    count("churn", records, gateway)
    count_all(records, gateway)
    assert tally_now("churn", records, {}).targets["stable/1-a"].requests == 1


def test_a_look_from_before_a_change_is_taken_in_once_whoever_looked_since(tmp_path: Path) -> None:
    gateway, records = Growing(), Records(DirectoryStore(tmp_path / "store"), "acme")
    count("churn", records, gateway)
    before = reading_of("churn", gateway)
    count_before("churn", before, records, gateway)
    late = reading_of("churn", gateway)
    count("churn", records, gateway)
    count_before("churn", late, records, gateway)
    assert tally_now("churn", records, {}).targets["stable/1-a"].requests == gateway.requests


def test_only_what_came_until_the_change_says_how_requests_were_split(tmp_path: Path) -> None:
    gateway, records = Growing(), Records(DirectoryStore(tmp_path / "store"), "acme")
    gateway.requests = 99
    before = reading_of("churn", gateway)
    gateway.requests = 149
    count_before("churn", before, records, gateway)
    tally = tally_now("churn", records, {})
    assert tally.targets["stable/1-a"].requests == 150
    assert tally.ratio.counts == {"stable/1-a": 100, "two/1-b": 100}
