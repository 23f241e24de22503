"""How often a notebook's display is brought up to date."""

from __future__ import annotations

import threading
import time

from sagespec.events import Event, EventKind, silent
from sagespec.show.following import Following
from sagespec.show.live import EVERY_SECONDS, following, in_kernel, write_often


class Handle:
    def __init__(self) -> None:
        self.at: list[float] = []
        self.last: dict[str, str] = {}

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.at.append(time.monotonic())
        self.last = bundle


def test_ten_thousand_events_are_a_few_updates() -> None:
    run, handle, left = Following(lambda _job: []), Handle(), threading.Event()
    writer = threading.Thread(target=write_often, args=(run, handle, left))
    writer.start()
    for number in range(10_000):
        run.tell(Event(EventKind.LOG, "job/a@1", f"line {number}", action="run-job"))
    while not handle.at:
        time.sleep(0.01)
    time.sleep(EVERY_SECONDS * 2)
    left.set()
    writer.join()
    gaps = [later - earlier for earlier, later in zip(handle.at, handle.at[1:], strict=False)]
    assert all(gap >= EVERY_SECONDS * 0.9 for gap in gaps)
    assert "line 9999" in handle.last["text/html"]
    assert handle.last.keys() == {"text/plain", "text/html"}


def test_outside_of_a_notebook_nothing_is_shown() -> None:
    assert not in_kernel()
    with following(None, lambda _job: []) as report:
        assert report is silent
    with following(print, lambda _job: []) as report:
        assert report is print
