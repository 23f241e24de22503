"""Loaded by Python itself in every process of a script (`script` has this folder in PYTHONPATH).

Before the interpreter ends it waits for PyTorch's threads that carry out gloo's operations. Such a thread lets go of
the last tensor after the script's wait for it has returned, and needs the interpreter's lock for that. Once the
interpreter is ending, Python up to 3.13 ends a thread that asks for the lock, and C++ takes that for an error: a script
that ended well is aborted ("terminate called without an active exception"). `destroy_process_group` does not help, as
DistributedDataParallel holds the group.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import time
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

THREADS = Path("/proc/self/task")
WORKER = "pt_gloo_runloop"
LONGEST_SECONDS = 5.0  # an operation whose other hosts never come does not hold up the end
LOOK_SECONDS = 0.005
WAITS_FOR_CHANGE = ("0x89", "0x189")  # FUTEX_WAIT_BITSET, private, by either clock: how a condition is waited for
FOREVER = "0x0"


def wait_for_workers() -> None:
    """Return when none of them has work, or after LONGEST_SECONDS."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while any(map(_is_at_work, _threads())) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)  # without the interpreter's lock


def _threads() -> list[Path]:
    """None where the system does not tell."""
    with contextlib.suppress(OSError):
        return list(THREADS.iterdir())
    return []


def _is_at_work(thread: Path) -> bool:
    """Not if it waits for its queue without a time limit. For the lock, and for other hosts, it waits with one."""
    with contextlib.suppress(OSError):
        if (thread / "comm").read_text().strip() != WORKER:
            return False
        call = (thread / "syscall").read_text().split()  # its number and six arguments; or "running"
        return not (len(call) > 4 and call[2] in WAITS_FOR_CHANGE and call[4] == FOREVER)
    return False


def load_hidden() -> None:
    """Run the sitecustomize that Python would have found without this one: Debian has one, and tools bring theirs."""
    here = Path(__file__).parent.resolve()
    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if Path(path).resolve() != here])
    if spec and spec.loader:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    atexit.register(wait_for_workers)  # before all others, and so run after them
    load_hidden()
