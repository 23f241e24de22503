"""One apply at a time per project: a lock in the store, whose holder is known by name.

`with project_lock(store, project_name, command="apply") as lock:` is what `verbs.locked` puts around every
command that changes something. The lock is one small object, `<project>/lock.json`. It is taken by a
conditional write, renewed by a thread, and marked as released rather than deleted, so that every change
of hands is a compare-and-swap and no slow process can remove the lock of another.

Whether a holder is dead is decided by what can be known:
- on the same machine (same boot, same process namespace) by its process: gone, or another one under its
  pid, and the lock is free at once; there, and it holds, however long it was suspended;
- elsewhere, and for this very process, by its lease: the holder has not renewed it for so long that it must
  be dead, or cut off from the store and, by its own clock, has stopped acting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import ValidationError

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.records.holder import SKEW, Holder, holder_here, is_neighbour, why_dead
from sagespec.stores.protocol import Conflict, Store

LEASE_SECONDS = 60.0
_POLL_SECONDS = 1.0
Clock = Callable[[], datetime]
Sleep = Callable[[float], object]


@contextmanager
def project_lock(
    store: Store,
    project_name: str,
    *,
    command: str,
    wait_seconds: float = 0.0,
    report: Report = lambda _event: None,
    lease_seconds: float = LEASE_SECONDS,
    clock: Clock = lambda: datetime.now(UTC),
    sleep: Sleep = time.sleep,
) -> Iterator[ProjectLock]:
    """Hold the project's lock for the block; WorldError naming the holder when it is not free in time.

    A live holder is waited for up to `wait_seconds`, a dead one's lock is taken over; both are reported.
    """
    lock = _taken(
        store,
        _lock_key(project_name),
        holder_here(command, lease_seconds, clock()),
        wait_seconds=wait_seconds,
        report=report,
        clock=clock,
        sleep=sleep,
    )
    with lock:
        yield lock


def read_lock(store: Store, project_name: str) -> Holder | None:
    """Who holds the project's lock now, dead or alive; None when it is free."""
    present = _read(store, _lock_key(project_name))
    return None if present is None or present.holder.released else present.holder


def force_unlock(store: Store, project_name: str, lock_id: str) -> Holder:
    """Free the lock that has this id, whoever holds it, and return the holder it was taken from.

    The id is required so that nobody breaks a lock other than the one they saw.
    """
    key = _lock_key(project_name)
    present = _read(store, key)
    if present is None or present.holder.released:
        raise WorldError(f"project {project_name} is not locked in {store.uri}", fix="nothing to do")
    if present.holder.id != lock_id:
        raise WorldError(
            f"the lock of project {project_name} has id {present.holder.id}, not {lock_id}: it is held by "
            f"{present.holder}",
            fix="make sure that process is dead, then give its id",
        )
    store.write(key, _json(present.holder.model_copy(update={"released": True})), if_match=present.etag)
    return present.holder


class ProjectLock:
    """A lock that is held. Made by `project_lock`; renewed by a thread between enter and exit.

    `lost` is set when somebody else has the lock, or when it could not be renewed within its lease, so
    that somebody else may. Whoever works under the lock calls `check` before each step.
    """

    def __init__(self, store: Store, key: str, holder: Holder, etag: str, clock: Clock) -> None:
        self.holder = holder
        self.lost = threading.Event()
        self._store = store
        self._key = key
        self._etag = etag
        self._clock = clock
        self._why = ""
        self._done = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="sagespec-lock", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()
        if not self.lost.is_set():
            self._write(released=True)

    def check(self) -> None:
        """WorldError when the lock is no longer ours. A machine that slept past the lease renews first."""
        if not self.lost.is_set() and self._lease_is_over():
            self.renew()
        if self.lost.is_set():
            raise WorldError(
                f"the lock on this project was lost: {self._why}",
                why="two runs at once would undo each other's work, so this one stops here",
                fix="run the command again; it continues from the current state",
            )

    def renew(self) -> None:
        """Extend the lease; sets `lost` when that is no longer possible."""
        with self._one_at_a_time:
            if not self.lost.is_set():
                self._write(renewed_at=self._clock())

    def _write(self, **changes: object) -> None:
        try:
            for _ in range(2):
                wanted = self.holder.model_copy(update=changes)
                try:
                    self._etag = self._store.write(self._key, _json(wanted), if_match=self._etag)
                    self.holder = wanted
                    return
                except Conflict:
                    self._look_again()
                if self.lost.is_set() or self.holder == wanted:
                    return  # taken from us; or it was this very write, repeated after its answer was lost
                # An earlier write of ours had gone through unheard: now that its ETag is known, once more.
        except WorldError as error:
            if self._lease_is_over():
                self._lose(f"it could not be renewed for {self.holder.lease_seconds:g} s: {error.problems[0].what}")

    def _look_again(self) -> None:
        present = _read(self._store, self._key)
        if present is None:
            self._lose("its file was removed")
        elif present.holder.id != self.holder.id:
            self._lose(f"taken over by {present.holder}")
        elif present.holder.released and not self._done.is_set():
            self._lose("it was forced open")
        else:
            self.holder, self._etag = present.holder, present.etag

    def _lose(self, why: str) -> None:
        self._why = why
        self.lost.set()

    def _lease_is_over(self) -> bool:
        return self._clock() - self.holder.renewed_at > timedelta(seconds=self.holder.lease_seconds)

    def _keep(self) -> None:
        while not self._done.wait(self.holder.lease_seconds / 4) and not self.lost.is_set():
            self.renew()


@dataclass(frozen=True)
class _Present:
    holder: Holder
    etag: str


def _taken(
    store: Store, key: str, mine: Holder, *, wait_seconds: float, report: Report, clock: Clock, sleep: Sleep
) -> ProjectLock:
    start = seen_at = clock()
    seen_etag = ""
    told = ""
    while True:
        now = clock()
        mine = mine.model_copy(update={"taken_at": now, "renewed_at": now})
        present = _read(store, key)
        if present and present.etag != seen_etag:
            seen_etag, seen_at = present.etag, now
        dead = why_dead(present.holder, seen_at, now) if present and not present.holder.released else ""
        if present is None or present.holder.released or dead:
            etag = _try_to_take(store, key, mine, present)
            if etag and present and dead:
                report(Event(EventKind.LOCK, text=f"took over from {present.holder}: {dead}"))
            if etag:
                return ProjectLock(store, key, mine, etag, clock)
            continue
        if now - start >= timedelta(seconds=wait_seconds):
            raise _held(present.holder, now)
        if told != present.holder.id:
            told = present.holder.id
            report(Event(EventKind.LOCK, text=f"waiting for {present.holder}"))
        sleep(min(_POLL_SECONDS, wait_seconds))


def _try_to_take(store: Store, key: str, mine: Holder, present: _Present | None) -> str | None:
    """The ETag of our lock, or None if another process got it first."""
    try:
        if present is None:
            return store.write(key, _json(mine), if_absent=True)
        return store.write(key, _json(mine), if_match=present.etag)
    except Conflict:
        # A write whose answer was lost conflicts with itself when it is repeated.
        again = _read(store, key)
        return again.etag if again and again.holder.id == mine.id else None


class LockHeld(WorldError):
    """Somebody alive holds the lock, and did not let go of it in time."""


def _held(holder: Holder, now: datetime) -> LockHeld:
    if is_neighbour(holder):
        why = f"process {holder.pid} runs on this machine"
        fix = f"wait for it with `--wait 10m`, or end it with: kill {holder.pid}"
    else:
        silent = max(0, round((now - holder.renewed_at).total_seconds()))
        frees = round(holder.lease_seconds + SKEW.total_seconds())
        why = f"its lease was renewed {silent} s ago; a dead holder's lock is free after {frees} s"
        fix = f"wait for it with `--wait 10m`; if you know it is dead: sagespec unlock {holder.id}"
    return LockHeld(f"the project is locked by {holder}", why=why, fix=fix)


def _lock_key(project_name: str) -> str:
    return f"{project_name}/lock.json"


def _json(holder: Holder) -> bytes:
    return (holder.model_dump_json(indent=2) + "\n").encode()


def _read(store: Store, key: str) -> _Present | None:
    found = store.read(key)
    if found is None:
        return None
    try:
        return _Present(Holder.model_validate_json(found[0]), found[1])
    except ValidationError as error:
        raise WorldError(
            f"{store.uri}/{key} is damaged, so there is no way to know whether another sagespec is running",
            fix="make sure that none is, then delete that file",
        ) from error
