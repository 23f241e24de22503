from __future__ import annotations

import threading
from datetime import UTC, datetime

from sagespec.verbs.states import Status
from sagespec.web.snapshots import Snapshots


def test_those_who_ask_at_once_get_one_look() -> None:
    looks: list[Status] = []
    began, release = threading.Event(), threading.Event()

    def look() -> Status:
        began.set()
        release.wait(10)
        looks.append(Status((), (), "", "process", "", datetime.now(UTC)))
        return looks[-1]

    snapshots = Snapshots(look)
    got: list[Status] = []
    threads = [threading.Thread(target=lambda: got.append(snapshots.status(60))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert began.wait(10)
    release.set()
    for thread in threads:
        thread.join()
    assert len(looks) == 1
    assert got == looks * 8
    snapshots.forget()
    snapshots.status(60)
    assert len(looks) == 2


def test_what_happens_while_a_look_is_taken_does_not_wait_for_it() -> None:
    """It may hold what the look waits for: the gateway tells of itself while it is locked."""
    told = threading.Event()
    looks: list[Status] = []

    def tell() -> None:
        snapshots.forget()
        told.set()

    def look() -> Status:
        threading.Thread(target=tell).start()
        assert told.wait(10)
        looks.append(Status((), (), "", "process", "", datetime.now(UTC)))
        return looks[-1]

    snapshots = Snapshots(look)
    snapshots.status(60)
    told.clear()
    snapshots.status(60)
    assert len(looks) == 2, "the first one is older than what happened"


def test_nobody_waits_for_a_look_that_takes_long_while_the_last_one_is_new_enough() -> None:
    looks: list[Status] = []
    release, again = threading.Event(), threading.Event()

    def look() -> Status:
        if looks:
            again.set()
            release.wait(10)
        else:
            threading.Event().wait(0.5)
        looks.append(Status((), (), "", "process", "", datetime.now(UTC)))
        return looks[-1]

    snapshots = Snapshots(look)
    first = snapshots.status(0)
    assert snapshots.status(0) is first
    assert again.wait(10)  # it is taken beside
    assert snapshots.status(0) is first
    release.set()
    snapshots.forget()
    assert snapshots.status(0) is looks[-1] is not first
