"""Processes of this machine: started below a supervisor, signalled, killed, found by their mark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.runtimes.process.containers import Containers, Record
from sagespec.runtimes.process.restarts import ALWAYS, NEVER, ON_FAILURE
from sagespec.runtimes.process.shim_record import KILLED
from sagespec.state.launches import Launch

_POLL_SECONDS = 0.01
_KILL_SECONDS = 10.0
_SEARCHES = 10

# As a module it is compiled once; as a script it would be at every start. The package's own file is passed over: what
# it imports takes longer than the shim itself.
_START_SHIM = """
import sys
sys.modules["sagespec"] = package = type(sys)("sagespec")
package.__path__ = [sys.argv[1]]
from sagespec.runtimes.process.shim import main
main(*sys.argv[2:])
"""
_PACKAGE = Path(__file__).parents[2]


def start_process(
    containers: Containers, record: Record, *, command: Sequence[str], environment: dict[str, str]
) -> None:
    """Start the container's program below a supervisor that outlives us; returns once it runs."""
    launch = record.launch
    start_shim = [sys.executable, "-I", "-S", "-c", _START_SHIM, str(_PACKAGE)]
    arguments = [str(containers.folder / launch.name), str(launch.memory or 0), _restarts_of(launch), *command]
    with disk_problems(f"cannot start container {launch.name}"):
        starter = subprocess.Popen(
            [*start_shim, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        answer, _ = starter.communicate()
    if answer != b"started":
        reason = answer.decode(errors="replace").strip().rpartition("\n")[2]
        raise WorldError(
            f"container {launch.name} did not start: {reason or 'no answer'}",
            why="its supervising process ended at once",
            fix="check whether memory, disk space or the number of processes is at its limit (sagespec doctor)",
        )


def _restarts_of(launch: Launch) -> str:
    """After which ends the shim starts the program again."""
    if not launch.keep_running:
        return NEVER
    return ON_FAILURE if launch.may_end else ALWAYS


def stop_process(containers: Containers, record: Record, grace_seconds: float) -> None:
    """SIGTERM, and SIGKILL for what still runs after the grace."""
    was_told = _signal_supervisor(containers, record, signal.SIGTERM)
    if not (was_told and _ends_within(containers, record, grace_seconds)):
        kill_process(containers, record)


def kill_process(containers: Containers, record: Record) -> None:
    """Kill the container's program and all that it started; WorldError when something is still there after that."""
    name = record.launch.name
    if _signal_supervisor(containers, record, signal.SIGUSR1) and _ends_within(containers, record, _KILL_SECONDS):
        return
    _signal_supervisor(containers, record, signal.SIGKILL)  # one that hangs
    run = containers.run_of(name) if _is_there(containers, record) else None
    if run is None or (not run.alive and run.exit_code != KILLED):
        return
    # The supervisor itself was killed, so it may not have cleaned up after the program; or it is ending at this moment,
    # when its environment is gone and its lock is not. Searched more than once:
    # a process that is being forked, or becomes another program at this moment, shows no mark.
    for _ in range(_SEARCHES):
        kill_rest_of(record)
        if _ends_within(containers, record, _KILL_SECONDS / _SEARCHES):
            return
    raise WorldError(
        f"container {name} cannot be killed (pid {run.pid})",
        why="it belongs to another user or machine, or hangs in the kernel (an unreachable network disk?)",
        fix=f"end process {run.pid} by hand, then run again",
    )


def kill_rest_of(record: Record) -> None:
    """Kill all that the container started and that is there at this moment."""
    for pid in _processes_with(record.mark):
        _signal_process(pid, signal.SIGKILL, record.mark)


def _signal_supervisor(containers: Containers, record: Record, number: signal.Signals) -> bool:
    """Whether the container was running and its supervisor was sent the signal."""
    run = containers.run_of(record.launch.name)
    return run is not None and run.alive and _signal_process(run.pid, number, record.mark)


def _is_there(containers: Containers, record: Record) -> bool:
    """Whether its name is not another container's by now."""
    found = containers.find(record.launch.name)
    return found is not None and found.id == record.id


def _ends_within(containers: Containers, record: Record, seconds: float) -> bool:
    give_up_at = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= give_up_at  # before the look: a machine that slept in between looks once more
        if not (containers.is_running(record.launch.name) and _is_there(containers, record)):
            return True
        if late:
            return False
        time.sleep(_POLL_SECONDS)


def _signal_process(pid: int, number: signal.Signals, mark: str) -> bool:
    """Signal the process if its environment holds `mark`. Whether it was there.

    On Linux the pid is pinned first, so that it cannot become another's between the check and the signal.
    """
    try:
        if sys.platform != "linux":
            os.kill(pid, number)
            return True
        pinned = os.pidfd_open(pid)
        try:
            if mark.encode() not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return False
            signal.pidfd_send_signal(pinned, number)
        finally:
            os.close(pinned)
    except (ProcessLookupError, FileNotFoundError, PermissionError):
        return False
    return True


def _processes_with(mark: str) -> list[int]:
    """Pids of our processes whose environment holds `mark`. Slow: only for what a killed supervisor left."""
    if sys.platform == "linux":
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if mark.encode() in _environment_of(path)]
    listing = subprocess.run(["ps", "-axwwE", "-o", "pid=,command="], capture_output=True, check=False).stdout
    lines = listing.decode(errors="replace").splitlines()
    return [int(line.split()[0]) for line in lines if f" {mark} " in f"{line} "]


def _environment_of(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
