"""Processes of this machine: started through the shim, signalled, found by their mark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

POLL_SECONDS = 0.01


KILL_SECONDS = 10.0


# As a module it is compiled once; as a script it would be at every start.
START_SHIM = "import sys; sys.path.append(sys.argv[1]); import shim; shim.main()"


def signal_process(pid: int, number: signal.Signals, mark: str) -> bool:
    """Signal the process if its environment holds `mark`. Whether it was there.

    On Linux the pid is pinned first, so that it cannot become another's between the look and the signal.
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


def processes_with(mark: str) -> list[int]:
    """Pids of our processes whose environment holds `mark`. Slow; for what a killed shim left."""
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
