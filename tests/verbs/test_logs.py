"""Lines of several containers as one stream, which leaves nothing running when nobody reads on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

from sagespec.state.addresses import Address
from sagespec.state.observed import Container, ContainerState
from sagespec.verbs.logs import merged


class Chatty:
    """An engine whose containers never stop printing."""

    def __init__(self, *names: str) -> None:
        self.left = {name: threading.Event() for name in names}

    def logs(self, name: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        try:
            yield from (f"line {number}" for number in itertools.count())
        finally:
            self.left[name].set()


def test_who_stops_reading_leaves_no_follower_behind() -> None:
    hosts = [Container(f"c{n}", Address("job", "churn", 1, instance=n), "1-a", ContainerState.RUNNING) for n in (0, 1)]
    engine: Any = Chatty(*(host.name for host in hosts))
    lines = merged(engine, hosts, follow=True, tail=None)
    assert next(lines)[1] == "line 0"
    lines.close()  # type: ignore[attr-defined]
    assert all(left.wait(10) for left in engine.left.values())
