"""Runs one apply that dies by SIGKILL at its n-th event: `python killed_apply.py ROOT N [rollout]`.

Every action reports when it begins and when it has ended, so the events are the places between effects.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from sagespec.events import Event, EventKind
from sagespec.project import Project


def main(root: Path, die_at: int) -> None:
    counted = 0
    lock = threading.Lock()

    def report(event: Event) -> None:
        nonlocal counted
        if event.kind is EventKind.LOG:
            return
        with lock:
            counted += 1
            if counted == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    with Project.open(root) as project:
        project.apply(report=report)
    sys.stdout.write(f"{counted}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
