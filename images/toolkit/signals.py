"""Work in a thread of its own, so that a signal is handled while it runs.

Python runs signal handlers in the main thread only, between two byte codes. The kernel may deliver a signal to
any other thread, for example to one that is just starting; a main thread that waits for a lock or for a child
process is then not woken, and the handler runs when that wait ends, perhaps hours later. Here the main thread
waits for a byte in a pipe: Python's own C handler writes one, in whichever thread it runs.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

ENDED = b"\0"  # no signal has the number 0


def beside_signals(work: Callable[[], T]) -> T:
    """What `work` returns. It runs in another thread; call this from the main thread, after `signal.signal`."""
    results: list[T] = []
    reading, writing = os.pipe()

    def run() -> None:
        try:
            results.append(work())
        finally:
            os.write(writing, ENDED)

    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=run, daemon=True).start()
    while os.read(reading, 1) != ENDED:
        pass  # a signal: its handler runs between these two byte codes
    signal.set_wakeup_fd(-1)
    os.close(reading)
    os.close(writing)
    return results[0]
