"""A wait for what must come to be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, look: Callable[[], T], otherwise: str, *, every: float = 0.1) -> T:
    """What `look` finds, once that is something; AssertionError when it is nothing for so long."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, f"{otherwise} after {seconds:g} s"
        time.sleep(every)
    return found
