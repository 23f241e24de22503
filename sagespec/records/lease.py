"""A lease: the right to do something until it is given back, held by one process that is known by name.

A lease is one small object in the store. It is taken by a conditional write, renewed by a thread, and marked as
released rather than deleted, so that every change of hands is a compare-and-swap and no slow process can remove the
lease of another. `lock` makes the project's lock of one, `leases` the right to follow a job.

Whether a holder is dead is decided by what can be known:
- on the same machine (same boot, same process namespace) by its process: gone, or another one under its
  pid, and the lease is free at once; there, and it holds, however long it was suspended;
- elsewhere, and for this very process, by its time: the holder has not renewed it for so long that it must
  be dead, or cut off from the store and, by its own clock, has stopped acting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import ValidationError

from sagespec.errors import WorldError
from sagespec.records.holder import Holder
from sagespec.stores.protocol import Conflict, Store, StoreAway

LEASE_SECONDS = 60.0
Clock = Callable[[], datetime]
Wait = Callable[[float, threading.Event], object]  # so many seconds, or until the event is set


def utc_now() -> datetime:
    return datetime.now(UTC)


def wait_for(seconds: float, event: threading.Event) -> object:
    return event.wait(seconds)


@dataclass(frozen=True)
class Found:
    """A lease as it is in the store."""

    holder: Holder
    etag: str


class LeaseLost(WorldError):
    """Somebody else has it, and to try again is no help."""


class LeaseSeized(LeaseLost):
    """It was taken away by somebody who does not want it: what it was for is to be no more."""


class Lease:
    """A lease that is held. Renewed by a thread between enter and exit.

    what: names it in errors, as "the lock on this project". `lost` is set once somebody else has it. While the store
    is away it can be neither renewed nor lost: `check` then raises, and holds again once the store answers. Nor can it
    be given back then: that is tried again for as long as the process lives, which others take for its holder.
    """

    def __init__(
        self, store: Store, key: str, held: Found, *, what: str, clock: Clock = utc_now, wait: Wait = wait_for
    ) -> None:
        self.holder = held.holder
        self.lost = threading.Event()
        self._store = store
        self._key = key
        self._etag = held.etag
        self._what = what
        self._clock, self._wait = clock, wait
        self._why = ""
        self._loss: type[LeaseLost] = LeaseLost
        self._carried: dict[str, object] = {}
        self._done = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread = self._in_thread(self._keep)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()
        self._release()
        if not self.is_over:
            self._in_thread(self._release_later).start()

    @property
    def is_held(self) -> bool:
        """Whether its holder still means to have it: not after exit, whether or not the store has heard of that."""
        return not self._done.is_set() and not self.lost.is_set()

    @property
    def is_over(self) -> bool:
        """Whether the store has heard that its holder no longer has it."""
        return self.holder.released or self.lost.is_set()

    @property
    def is_fresh(self) -> bool:
        """Whether the store has taken the last renewals: not while it is away, where another one would only wait."""
        return self._age() <= timedelta(seconds=self.holder.lease_seconds / 2)

    def delete(self) -> None:
        """Remove what is left of a released lease that nobody else could have taken."""
        self._store.delete(self._key)

    def check(self) -> None:
        """WorldError when the lease is no longer ours, or nobody can tell. One that slept too long renews first."""
        if self._age() > timedelta(seconds=self.holder.lease_seconds):
            self.renew()
        self._refuse_if_lost()

    def check_now(self) -> None:
        """The same by asking the store: whoever took it a moment ago is noticed, too."""
        self.renew()
        self._refuse_if_lost()

    def carry(self, **changes: object) -> None:
        """Fields of the holder that change with the next renewal."""
        self._carried = changes

    def renew(self) -> None:
        """Extend the lease; sets `lost` when somebody else has it."""
        with self._one_at_a_time:
            if not self.lost.is_set() and not self._done.is_set():
                self._write(renewed_at=self._clock(), **self._carried)

    def _refuse_if_lost(self) -> None:
        if self.lost.is_set():
            raise self._loss(
                f"{self._what} was lost: {self._why}",
                why="two runs at once would undo each other's work, so this one stops here",
                fix="run the command again; it continues from the current state",
            )
        if self._age() > timedelta(seconds=self.holder.lease_seconds):
            raise StoreAway(
                f"{self._what} {self._why or 'could not be renewed'}",
                why="nobody can tell whether another run has taken it meanwhile",
                fix="run the command again when the store answers; it continues from the current state",
            )

    def _write(self, **changes: object) -> None:
        try:
            for _ in range(2):
                wanted = self.holder.model_copy(update=changes)
                try:
                    self._etag = self._store.write(self._key, as_bytes(wanted), if_match=self._etag)
                    self.holder = wanted
                    return
                except Conflict:
                    self._look_again()
                if self.lost.is_set() or self.holder == wanted:
                    return  # taken from us; or it was this very write, repeated after its answer was lost
                # An earlier write of ours had gone through unheard: now that its ETag is known, once more.
        except WorldError as error:
            self._why = f"could not be renewed for {self.holder.lease_seconds:g} s: {error.problems[0].what}"

    def _look_again(self) -> None:
        present = read_lease(self._store, self._key)
        if present is None:
            self._lose("its file was removed")
        elif present.holder.id != self.holder.id and present.holder.released:
            self._loss = LeaseSeized
            self._lose(f"taken away by {present.holder}")
        elif present.holder.id != self.holder.id:
            self._lose(f"taken over by {present.holder}")
        elif present.holder.released and not self._done.is_set():
            self._lose("it was forced open")
        else:
            self.holder, self._etag = present.holder, present.etag

    def _lose(self, why: str) -> None:
        self._why = why
        self.lost.set()

    def _age(self) -> timedelta:
        return self._clock() - self.holder.renewed_at

    def _keep(self) -> None:
        while not self._done.is_set() and not self.lost.is_set():
            self._wait(self.holder.lease_seconds / 4, self._done)
            self.renew()

    def _release(self) -> None:
        with self._one_at_a_time:
            if not self.lost.is_set():
                self._write(released=True)

    def _release_later(self) -> None:
        while not self.is_over:
            self._wait(self.holder.lease_seconds / 4, self.lost)
            self._release()

    def _in_thread(self, target: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=target, name=f"lease-{self._key}", daemon=True)


def try_to_take(store: Store, key: str, mine: Holder, present: Found | None) -> Found | None:
    """The lease, taken from `present` or from nobody; None if another process got it first."""
    try:
        if present is None:
            return Found(mine, store.write(key, as_bytes(mine), if_absent=True))
        return Found(mine, store.write(key, as_bytes(mine), if_match=present.etag))
    except Conflict:
        # A write whose answer was lost conflicts with itself when it is repeated.
        again = read_lease(store, key)
        return again if again and again.holder.id == mine.id else None


def read_lease(store: Store, key: str) -> Found | None:
    """WorldError when what is there is no lease."""
    found = store.read(key)
    if found is None:
        return None
    try:
        return Found(Holder.model_validate_json(found[0]), found[1])
    except ValidationError as error:
        raise WorldError(
            f"{store.uri}/{key} is damaged, so there is no way to know whether another sagespec is running",
            fix="make sure that none is, then delete that file",
        ) from error


def as_bytes(holder: Holder) -> bytes:
    return (holder.model_dump_json(indent=2) + "\n").encode()
