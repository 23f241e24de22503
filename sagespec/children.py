"""Runs a program for a while, and ends it with all that it has started.

`subprocess.run` ends the program alone: what git has started to speak to a server that hangs would stay, one more at
each look.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def run(
    command: Sequence[str],
    *,
    seconds: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    said: bytes = b"",
    joins_errors: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """What it printed, and its exit code. It has no terminal; `said` is its input.

    OSError when it cannot be started; subprocess.TimeoutExpired after `seconds`.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE if said else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if joins_errors else subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(said or None, timeout=seconds)
        finally:
            with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group that has ended
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, err)
