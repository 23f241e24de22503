"""One apply at a time a project: a lock in the store, with a holder that can be named and asked about.

`with project_lock(store, project_name, command="apply") as lock:` is what `project` puts round every
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

import getpass
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sagespec.errors import WorldError
from sagespec.events import Event, EventKind, Report
from sagespec.stores import Conflict, Store

LEASE_SECONDS = 60.0
# How far the clocks of two machines may be apart before one takes the other's lock too early.
_SKEW = timedelta(seconds=60)
_POLL_SECONDS = 1.0

Clock = Callable[[], datetime]
Sleep = Callable[[float], object]


class Holder(BaseModel):
    """What lock.json says: who holds the lock, or held it last (`released`).

    `machine` is the boot and the process namespace: within it, `pid` with `process_started` is one process.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    user: str
    host: str
    machine: str
    pid: int = Field(gt=0)
    process_started: str
    command: str
    taken_at: datetime
    renewed_at: datetime
    lease_seconds: float
    released: bool = False

    def __str__(self) -> str:
        return f"sagespec {self.command} of {self.user} on {self.host} (pid {self.pid}, since {_time(self.taken_at)})"


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
        _holder_here(command, lease_seconds, clock()),
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

    The id is asked for so that nobody breaks a lock other than the one they saw.
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
                fix="run the command again; it goes on from what is there",
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
            self._lose("somebody forced it open")
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


# -- taking it -------------------------------------------------------------------------------------


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
    """The ETag of our lock, or None when somebody else was faster."""
    try:
        if present is None:
            return store.write(key, _json(mine), if_absent=True)
        return store.write(key, _json(mine), if_match=present.etag)
    except Conflict:
        # A write whose answer was lost conflicts with itself when it is repeated.
        again = _read(store, key)
        return again.etag if again and again.holder.id == mine.id else None


def why_dead(holder: Holder, seen_at: datetime, now: datetime) -> str:
    """Why the lock may be taken, or '' while its holder may be alive. `seen_at`: since when it looks as it does."""
    if _is_neighbour(holder):
        return "" if _is_running(holder.pid, holder.process_started) else "that process is gone"
    lease = timedelta(seconds=holder.lease_seconds)
    # Two clocks: by ours alone a whole lease must have passed unrenewed; by theirs a lease and the skew.
    if now - seen_at > lease or now - holder.renewed_at > lease + _SKEW:
        return f"not renewed since {_time(holder.renewed_at)}"
    return ""


def _is_neighbour(holder: Holder) -> bool:
    """Whether the holder is another process whose life can be seen from here.

    For this process itself (`watch` takes the lock again and again) the lease decides: a lock that could not
    be given back while the store was away has no thread that renews it.
    """
    is_this_process = holder.pid == os.getpid() and holder.process_started == (_process_started(os.getpid()) or "")
    return holder.machine == _machine() and not is_this_process


class Held(WorldError):
    """Somebody alive holds the lock, and did not let go of it in time."""


def _held(holder: Holder, now: datetime) -> Held:
    if _is_neighbour(holder):
        why = f"process {holder.pid} runs on this machine"
        fix = f"wait for it with `--wait 10m`, or end it with: kill {holder.pid}"
    else:
        silent = max(0, round((now - holder.renewed_at).total_seconds()))
        frees = round(holder.lease_seconds + _SKEW.total_seconds())
        why = f"its lease was renewed {silent} s ago; a dead holder's lock is free after {frees} s"
        fix = f"wait for it with `--wait 10m`; if you know that it is dead: sagespec unlock {holder.id}"
    return Held(f"the project is locked by {holder}", why=why, fix=fix)


# -- reading and writing lock.json -------------------------------------------------------------------


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
            f"{store.uri}/{key} is damaged, so it cannot be told whether another sagespec runs",
            fix="make sure that none does, then delete that file",
        ) from error


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# -- who we are ------------------------------------------------------------------------------------


def _holder_here(command: str, lease_seconds: float, now: datetime) -> Holder:
    return Holder(
        id=secrets.token_hex(4),
        user=_user(),
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process_started=_process_started(os.getpid()) or "",
        command=command,
        taken_at=now,
        renewed_at=now,
        lease_seconds=lease_seconds,
    )


def who_is_here() -> str:
    """The user and the host, for people: `ada on build-7`."""
    return f"{_user()} on {socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        return f"uid {os.getuid()}"


@cache
def _machine() -> str:
    """Where a pid means one process: the boot of this kernel, and the process namespace in it.

    Host names and machine ids are no help: containers and CI runners made from one image share both.
    Where neither can be read the answer is this process alone, and the lease decides.
    """
    try:
        if sys.platform == "linux":
            boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"
        return _printed("sysctl", "-n", "kern.bootsessionuuid") or secrets.token_hex(8)
    except OSError:
        return secrets.token_hex(8)


def _is_running(pid: int, process_started: str) -> bool:
    """Whether the process `pid` that began at `process_started` still runs; True where it cannot be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return not process_started or _process_started(pid) in (process_started, None)


def _process_started(pid: int) -> str | None:
    """When the process `pid` began, to tell it from a later one of its number.

    '' for one that is dead and not yet reaped, None when it cannot be seen (hidepid, a sandbox).
    """
    try:
        if sys.platform == "linux":
            # The program's name, in brackets, may hold anything; behind it come state (field 3) and start (22).
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
        state, _, started = _printed("ps", "-p", str(pid), "-o", "stat=", "-o", "lstart=").partition(" ")
        return "" if state.startswith("Z") else started.strip() or None
    except OSError:
        return None


def _printed(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}  # `ps` prints times in the language and zone of its user
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout.strip()
