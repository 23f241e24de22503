"""Something that costs much to look at, served as it was last seen, and renewed beside the requests that ask for it.

However many tabs are open and however long a look takes, looking takes a small share of one core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sagespec.errors import Problem, SagespecError, WorldError

SHARE = 0.04  # of one core, at most, is spent looking while nothing happens
REST = 3  # as long as a look takes, it then is not looked
STALE_SECONDS = 10.0  # after so long without anybody asking, whoever asks waits a moment for a new look
WAIT_SECONDS = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class Look(Generic[T]):
    """value: of the last look that succeeded. problems: why the last one did not; () if it did."""

    value: T | None
    problems: tuple[Problem, ...] = ()

    def known(self) -> T:
        """The value; WorldError where there never was one."""
        if self.value is None:
            raise WorldError(self.problems)
        return self.value


class Background(Generic[T]):
    """look: takes one, in a thread. every_seconds: at the most often. news: another value once something has happened,
    after which a look may take more than its share of the core, so that it is seen soon."""

    def __init__(
        self, look: Callable[[], T], *, every_seconds: float, news: Callable[[], object] = lambda: None
    ) -> None:
        self._look_now, self._every_seconds, self._news = look, every_seconds, news
        self._known_news: object = None
        self._changed = threading.Condition()
        self._last: Look[T] | None = None
        self._ended = self._asked = self._rest_seconds = self._share_seconds = 0.0
        self._is_looking = self._is_old = False

    def last(self) -> Look[T]:
        """The last look; the first one, one after a long pause, and one after a change are waited for."""
        with self._changed:
            now, before = time.monotonic(), self._asked
            self._asked = now
            if self._last is None or self._is_old or now - before > STALE_SECONDS:
                self._look_again()
                wait = WAIT_SECONDS if self._last else None
                self._changed.wait_for(lambda: not self._is_looking, wait)
            elif now > self._ended + self._pause_seconds():
                self._look_again()
            assert self._last is not None
            return self._last

    def forget(self) -> None:
        """Something was changed: whoever asks next waits for a look."""
        with self._changed:
            self._is_old = True

    def _pause_seconds(self) -> float:
        """After the last look, before the next one."""
        has_news = self._news() != self._known_news
        return self._rest_seconds if has_news else max(self._rest_seconds, self._share_seconds)

    def _look_again(self) -> None:
        if not self._is_looking:
            self._is_looking, self._is_old = True, False
            threading.Thread(target=self._look, name="dashboard-look", daemon=True).start()

    def _look(self) -> None:
        begun, worked, news = time.monotonic(), time.thread_time(), self._news()
        before = self._last.value if self._last else None
        try:
            look = Look(self._look_now())
        except SagespecError as error:
            look = Look(before, error.problems)
        except Exception as error:  # a page says so, and the next look may succeed
            look = Look(before, (Problem(f"{type(error).__name__}: {error}", fix="run `sagespec doctor`"),))
        with self._changed:
            self._last, self._ended, self._is_looking = look, time.monotonic(), False
            self._known_news = news
            self._rest_seconds = max(self._every_seconds, REST * (self._ended - begun))
            self._share_seconds = (time.thread_time() - worked) / SHARE
            self._changed.notify_all()
