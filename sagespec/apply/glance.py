"""Whether anything is different since a run last looked at everything, told from the little that turns depend on.

A run that waits for others looks every other second. All of a look costs the store a read for each job of the specs; a
glance costs it one listing and a read for each that is at work, and the engine one list.
"""

from __future__ import annotations

from dataclasses import replace

from sagespec.records.leases import AtWork
from sagespec.state.observed import Container
from sagespec.world import World


class Glance:
    """What the last full look saw: who follows jobs, what is asked for, what the engine runs."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] | None = None
        self._seen_at = self._glanced_at = 0.0  # by the world's monotonic clock

    def keep(self, at_work: AtWork, containers: tuple[Container, ...], world: World) -> None:
        self._seen, self._seen_at = _of(at_work, containers), world.clock.monotonic()
        self._glanced_at = self._seen_at

    def is_same(self, world: World, *, within_seconds: float, every_seconds: float = 0.0) -> bool:
        """Whether a look would see the same. False when the last one is older than that: a glance does not see all.
        every_seconds: within so many of the last glance, it is still true."""
        now = world.clock.monotonic()
        if self._seen is None or now - self._seen_at >= within_seconds:
            return False
        if now - self._glanced_at < every_seconds:
            return True
        self._glanced_at = now
        return self._seen == _of(world.leases.look(), world.runtime.containers())


def _of(at_work: AtWork, containers: tuple[Container, ...]) -> tuple[object, ...]:
    return replace(at_work, runs=()), containers  # what runs say of themselves changes with each of their looks
