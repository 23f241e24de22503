"""Counts the effects that tests ask of runtime, store and gateway, and kills or fails any one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Killed(BaseException):
    """As if sagespec had been killed here: not an Exception, so that nothing under test can catch and go on."""


class Faults:
    """Counts the effects asked of the fakes that share it, in `calls`, and breaks off where told.

    kill_before/kill_after: the number (from 1) of the effect before or after which all ends: that call and
    every later one, in any thread, raise Killed until `revive`. fail: called with the text of each effect,
    e.g. "start sagespec_p_job_churn"; what it returns is raised instead of doing it.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.kill_before = 0
        self.kill_after = 0
        self.fail: Callable[[str], Exception | None] = lambda _: None
        self._killed = False
        self._lock = threading.Lock()

    @contextmanager
    def effect(self, text: str) -> Iterator[None]:
        with self._lock:
            self.look()
            self.calls.append(text)
            number = len(self.calls)
            self._killed = self._killed or number == self.kill_before
            self.look()
        if error := self.fail(text):
            raise error
        yield
        if number == self.kill_after:
            self._killed = True
            self.look()

    def look(self) -> None:
        """Reading changes nothing and is not counted, but the dead do not read either."""
        if self._killed:
            raise Killed(f"killed at effect {len(self.calls)}")

    @property
    def is_killed(self) -> bool:
        return self._killed

    def kill(self) -> None:
        """Now, wherever it is."""
        self._killed = True

    def revive(self) -> None:
        """A new sagespec: counting starts again, and nothing breaks."""
        self.__init__()  # type: ignore[misc]
