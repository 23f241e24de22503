"""One pass at a time per project: a lock in the store, whose holder is known by name.

`with project_lock(store, project_name, command="apply") as lock:` is what `verbs.locked` puts around every pass, and
around every command that changes something. It is held for seconds; what takes longer is done without it: docs/lock.md.
The lock is a lease, `<project>/lock.json`.

Bringing a model that is imported takes long, so that has a lock of its own, beside the model: `import.json`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sagespec.errors import Cancelled, WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.records.holder import SKEW, Holder, holder_here, is_neighbour, why_dead
from sagespec.records.lease import LEASE_SECONDS, Clock, Found, Lease, as_bytes, read_lease, try_to_take, utc_now
from sagespec.stores.protocol import Store, StoreAway

PATIENCE_SECONDS = 30.0  # with whoever holds it: a pass lasts seconds
_TOLD_AFTER_SECONDS = 2.0  # before that, who is waited for is not worth a line
_POLL_SECONDS = (0.1, 1.0)  # the first, and the longest
IMPORT = "import.json"  # the lock of an import, beside the model
Sleep = Callable[[float], object]


@contextmanager
def project_lock(
    store: Store,
    project_name: str,
    *,
    command: str,
    wait_seconds: float = 0.0,
    report: Report = lambda _event: None,
    seen_held: Callable[[], object] = lambda: None,
    lease_seconds: float = LEASE_SECONDS,
    clock: Clock = utc_now,
    sleep: Sleep = time.sleep,
) -> Iterator[Lease]:
    """Hold the project's lock for the block; LockHeld naming the holder when it is not free in time.

    A live holder is waited for up to `wait_seconds`, a dead one's lock is taken over; both are reported. seen_held:
    called each time the store tells of a live holder.
    """
    key, mine = _lock_key(project_name), holder_here(command, lease_seconds, clock())
    held = _taken(
        store, key, mine, wait_seconds=wait_seconds, report=report, seen_held=seen_held, clock=clock, sleep=sleep
    )
    with Lease(store, key, held, what="the lock on this project", clock=clock) as lock:
        yield lock


@contextmanager
def import_lock(
    store: Store,
    key: str,
    *,
    command: str,
    cancelled: threading.Event | None = None,
    report: Report = lambda _event: None,
) -> Iterator[Lease]:
    """Hold the right to import a model as one version: whoever has it is the only one that writes that model. Taken
    before the project's lock, by whoever needs both.

    key: of the lock. cancelled: what ends the wait for another run that has it; without it, that is not for long.
    """
    leave = cancelled or threading.Event()

    def sleep(seconds: float) -> None:
        if leave.wait(seconds):
            raise Cancelled("its model is not wanted any more")

    held = _taken(
        store,
        key,
        holder_here(command, LEASE_SECONDS, utc_now()),
        wait_seconds=math.inf if cancelled else PATIENCE_SECONDS,
        report=report,
        seen_held=lambda: None,
        clock=utc_now,
        sleep=sleep,
    )
    with Lease(store, key, held, what="the right to import this model") as lock:
        yield lock


def read_lock(store: Store, project_name: str) -> Holder | None:
    """Who holds the project's lock now, dead or alive; None when it is free."""
    present = read_lease(store, _lock_key(project_name))
    return None if present is None or present.holder.released else present.holder


def force_unlock(store: Store, project_name: str, lock_id: str) -> Holder:
    """Free the lock that has this id, whoever holds it, and return the holder it was taken from.

    The id is required so that nobody breaks a lock other than the one they saw.
    """
    key = _lock_key(project_name)
    present = read_lease(store, key)
    if present is None or present.holder.released:
        raise WorldError(f"project {project_name} is not locked in {store.uri}", fix="nothing to do")
    if present.holder.id != lock_id:
        raise WorldError(
            f"the lock of project {project_name} has id {present.holder.id}, not {lock_id}: it is held by "
            f"{present.holder}",
            fix="make sure that process is dead, then give its id",
        )
    store.write(key, as_bytes(present.holder.model_copy(update={"released": True})), if_match=present.etag)
    return present.holder


def _taken(
    store: Store,
    key: str,
    mine: Holder,
    *,
    wait_seconds: float,
    report: Report,
    seen_held: Callable[[], object],
    clock: Clock,
    sleep: Sleep,
) -> Found:
    start = seen_at = clock()
    waits_for: Found | None = None  # the last that had it alive
    seen_etag = told = ""
    pause, longest_pause = _POLL_SECONDS
    while True:
        now = clock()
        waited = (now - start).total_seconds()
        mine = mine.model_copy(update={"taken_at": now, "renewed_at": now})
        try:
            present = read_lease(store, key)
            if present and present.etag != seen_etag:
                seen_etag, seen_at = present.etag, now
            dead = why_dead(present.holder, seen_at, now) if present and not present.holder.released else ""
            if present is None or present.holder.released or dead:
                taken = try_to_take(store, key, mine, present)
                if taken and present and dead:
                    report(Event(EventKind.LOCK, text=f"took over from {present.holder}: {dead}"))
                if taken:
                    return taken
                continue
            waits_for = present
            seen_held()
        except StoreAway:
            if waits_for is None or waited >= wait_seconds:
                raise
            present = waits_for  # all the same: the store may be back in a moment
        if waited >= wait_seconds:
            raise _held(present.holder, now, key)
        if told != present.holder.id and waited >= _TOLD_AFTER_SECONDS:
            told = present.holder.id
            report(Event(EventKind.LOCK, text=f"waiting for {present.holder}"))
        sleep(min(pause, wait_seconds - waited))
        pause = min(2 * pause, longest_pause)


class LockHeld(WorldError):
    """Somebody alive holds the lock, and did not let go of it in time."""


def _held(holder: Holder, now: datetime, key: str) -> LockHeld:
    if key.endswith(IMPORT):
        return LockHeld(f"this version is being imported by {holder}", fix="wait until that is done")
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
