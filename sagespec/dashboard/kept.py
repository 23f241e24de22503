"""What pages ask the engine or the store for, kept for a moment, so that ten tabs cost no more than one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

Value = TypeVar("Value")


class Kept:
    """At most so many values, the ones that were asked for last."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: dict[str, tuple[float, object]] = {}
        self._making: dict[str, threading.Lock] = {}

    def get(self, name: str, seconds: float, make: Callable[[], Value]) -> Value:
        """The value of that name if it is younger than so many seconds, else a new one; whoever asks meanwhile waits
        for that one. What `make` raises is not kept."""
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            with self._lock:
                found = self._values.get(name)
            if found is None or time.monotonic() - found[0] > seconds:
                found = time.monotonic(), make()
                self._keep(name, found)
        return cast("Value", found[1])

    def forget(self) -> None:
        """Something was changed."""
        with self._lock:
            self._values.clear()

    def _keep(self, name: str, found: tuple[float, object]) -> None:
        with self._lock:
            self._values.pop(name, None)
            self._values[name] = found
            for old in list(self._values)[: -self._most]:
                del self._values[old]
                self._making.pop(old, None)
