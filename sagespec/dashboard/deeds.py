"""What somebody asked for with a button: done in a thread, since a stop or an apply may take minutes, and remembered.

How it ended is on every page until it is old. Of what takes hours, as a job does, that it has started is all there is
to say here: the page of the job says the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sagespec.dashboard.happenings import Happenings
from sagespec.errors import Problem, SagespecError
from sagespec.events import Event, EventKind, Report

SHOWN_SECONDS = 60.0  # after it has ended well; one that failed stays ten times as long
MOST_AT_ONCE = 4


@dataclass
class Deed:
    """word: working, started, done or failed. ended: when it was no longer `working`."""

    what: str
    by: str
    word: str = "working"
    problems: tuple[Problem, ...] = ()
    ended: float = field(default=0.0)

    def is_shown(self, now: float) -> bool:
        return self.word == "working" or now - self.ended < SHOWN_SECONDS * (10 if self.problems else 1)


Work = Callable[[Report], tuple[Problem, ...]]  # what went wrong; it may raise SagespecError, too


class Deeds:
    """after: told when one has ended."""

    def __init__(self, happenings: Happenings, after: Callable[[], None]) -> None:
        self._happenings, self._after = happenings, after
        self._lock = threading.Lock()
        self._all: list[Deed] = []

    def shown(self) -> tuple[Deed, ...]:
        """Those that are under way or have ended just now, the newest first."""
        with self._lock:
            self._all = [deed for deed in self._all if deed.is_shown(time.monotonic())]
            return tuple(reversed(self._all))

    def begin(self, what: str, by: str, work: Work, *, starts: Callable[[Event], bool] = lambda _: False) -> Deed:
        """Begin to do something, unless it is being done already. starts: whether an event says that what then goes
        its own way has started."""
        with self._lock:
            working = [deed for deed in self._all if deed.word == "working"]
            if same := next((deed for deed in working if deed.what == what), None):
                return same
            deed = Deed(what, by)
            if len(working) >= MOST_AT_ONCE:
                deed.word, deed.ended = "failed", time.monotonic()
                deed.problems = (Problem("too much is being done at once", fix="wait for the others, and try again"),)
            self._all.append(deed)
        if deed.word == "working":
            threading.Thread(target=self._do, args=(deed, work, starts), name=f"deed {what}", daemon=True).start()
        return deed

    def _do(self, deed: Deed, work: Work, starts: Callable[[Event], bool]) -> None:
        def report(event: Event) -> None:
            self._happenings.tell(event, deed.by)
            if starts(event):
                self._end(deed, "started")

        try:
            problems = work(report)
        except SagespecError as error:
            problems = error.problems
        except Exception as error:  # of ours: whoever pressed the button is to see it
            problems = (Problem(f"{type(error).__name__}: {error}", why="this is a bug in sagespec"),)
        if self._end(deed, "failed" if problems else "done", problems) and problems:
            text = "\n".join(str(problem) for problem in problems)
            self._happenings.tell(Event(EventKind.FAILED, text=text, action=deed.what), deed.by)
        self._after()

    def _end(self, deed: Deed, word: str, problems: tuple[Problem, ...] = ()) -> bool:
        """Whether this is news: what has started has its own page."""
        with self._lock:
            is_news = deed.word == "working"
            if is_news:
                deed.problems, deed.word, deed.ended = problems, word, time.monotonic()
        return is_news
