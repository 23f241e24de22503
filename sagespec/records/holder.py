"""Who holds a project's lock, and whether that process is dead.

`lock` writes a Holder into the lock's file, and asks here about the one it finds there."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sagespec.display import second_text
from sagespec.state.repairs import Flap
from sagespec.state.undelivered import Undelivered

# How far the clocks of two machines may be apart before one takes the other's lock too early.
SKEW = timedelta(seconds=60)


class Doing(BaseModel):
    """What a run says of itself while it is at work. Times are of its own clock.

    waits_for: in words, one for each thing. queued: addresses of jobs that wait for their turn. last_pass_at: when the
    last pass ended. looks_again_at: at the latest. flapping: what it repairs less and less often.
    undelivered: addresses that take no messages.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    waits_for: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    last_pass_at: datetime | None = None
    last_pass_seconds: float | None = None
    looks_again_at: datetime | None = None
    flapping: tuple[Flap, ...] = ()
    undelivered: tuple[Undelivered, ...] = ()


class Holder(BaseModel):
    """What lock.json says: who holds the lock, or held it last (`released`).

    `machine` is the boot and the process namespace: within it, `pid` with `process_started` is one process.
    specs: the files and folders that it reads; '' if from none. doing: of a run, what it waits for.
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
    specs: str = ""
    doing: Doing | None = None

    @property
    def who(self) -> str:
        """For people, where there is little room: `sagespec watch of ada on build-7`."""
        return f"sagespec {self.command} of {self.user} on {self.host}"

    def __str__(self) -> str:
        return f"{self.who} (pid {self.pid}, since {second_text(self.taken_at)})"


def why_dead(holder: Holder, seen_at: datetime, now: datetime) -> str:
    """Why the lock may be taken, or '' while its holder may be alive. `seen_at`: since when it looks as it does."""
    if is_neighbour(holder):
        return "" if _is_running(holder.pid, holder.process_started) else "that process is gone"
    lease = timedelta(seconds=holder.lease_seconds)
    # Two clocks: by ours alone a whole lease must have passed unrenewed; by theirs a lease and the skew.
    if now - seen_at > lease or now - holder.renewed_at > lease + SKEW:
        return f"not renewed since {second_text(holder.renewed_at)}"
    return ""


def is_neighbour(holder: Holder) -> bool:
    """Whether the holder is another process whose life can be seen from here.

    For this process itself (`watch` takes the lock again and again) the lease decides: a lock that could not
    be given back while the store was away has no thread that renews it.
    """
    is_this_process = holder.pid == os.getpid() and holder.process_started == (_process_started(os.getpid()) or "")
    return holder.machine == _machine() and not is_this_process


def holder_here(command: str, lease_seconds: float, now: datetime, *, specs: str = "") -> Holder:
    return Holder(
        id=secrets.token_hex(4),
        user=user_name(),
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process_started=_process_started(os.getpid()) or "",
        command=command,
        taken_at=now,
        renewed_at=now,
        lease_seconds=lease_seconds,
        specs=specs,
    )


def who_is_here() -> str:
    """The user and the host, for people: `ada on build-7`."""
    return f"{user_name()} on {socket.gethostname()}"


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        return f"uid {os.getuid()}"


@cache
def _machine() -> str:
    """Where a pid means one process: the boot of this kernel, and the process namespace in it.

    Host names and machine ids are no help: containers and CI runners made from one image share both.
    When neither can be read it means this process only, and the lease decides.
    """
    try:
        if sys.platform == "linux":
            boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"
        return _printed("sysctl", "-n", "kern.bootsessionuuid") or secrets.token_hex(8)
    except OSError:
        return secrets.token_hex(8)


def _is_running(pid: int, process_started: str) -> bool:
    """Whether the process `pid` that began at `process_started` still runs; True when that is unknown."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's process
    return not process_started or _process_started(pid) in (process_started, None)


def _process_started(pid: int) -> str | None:
    """When the process `pid` began, to distinguish it from a later one with the same number.

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
