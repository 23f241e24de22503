"""What starts, ends or goes, by looking every second: the Swarm tells of services, and of none of their tasks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.swarm.inventory import Inventory
from sagespec.state.observed import ContainerState

_EVERY_SECONDS = 1.0

_Seen = tuple[ContainerState, str, int, int]


@contextmanager
def changes(inventory: Inventory) -> Iterator[Iterator[str]]:
    """Names of containers. Leaving ends the stream."""
    left = threading.Event()
    before = _look(inventory)

    def names() -> Iterator[str]:
        known = before
        while not left.wait(_EVERY_SECONDS):
            now = _look(inventory)
            changed = [name for name in known | now if known.get(name) != now.get(name)]
            known = now
            yield from (name for name in changed if name not in now or now[name][0] is not ContainerState.CREATED)

    try:
        yield names()
    finally:
        left.set()


def _look(inventory: Inventory) -> dict[str, _Seen]:
    with refusals("follow the events"):
        return {name: (one.state, one.id, one.start, len(one.runs)) for name, one in inventory.all().items()}
