"""A run as a notebook follows it: what is being done, what is done, what jobs print, and their metrics as curves.

Made of the events of the run alone. It may be told of them from many threads, and be drawn at any moment.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sagespec.errors import Problem
from sagespec.events import ENDS, Event, EventKind, says_stopped
from sagespec.plan import RecordRevision, RunJob
from sagespec.run.metrics import FoundMetrics, Patterns, Point, series_of
from sagespec.show.figures import seconds_text
from sagespec.show.html import Html, curves, element, fitted, folded, joined, left_out, page, problems, table
from sagespec.show.progress import ROLL_OUT, Running, why_skipped
from sagespec.show.screen import Cell, clean
from sagespec.state.desired import DesiredJob

TAIL = 12  # lines of the log that are seen
MOST_ROWS = 30
MOST_JOBS = 4  # whose curves are drawn
_MARKS = {
    EventKind.FINISHED: ("done", "good"),
    EventKind.FAILED: ("failed", "bad"),
    EventKind.SKIPPED: ("skipped", "change"),
}

PatternsOf = Callable[[DesiredJob], Patterns]


@dataclass
class _JobSeen:
    """The metrics of a job, found in its lines. since: when the first of them was printed."""

    patterns: Patterns = ()
    hosts: dict[str, FoundMetrics] = field(default_factory=dict)
    since: float | None = None

    def read(self, event: Event) -> None:
        at = event.at.timestamp() if event.at else time.time()
        self.since = at if self.since is None else self.since
        host = self.hosts.setdefault(event.about, FoundMetrics(self.patterns))
        host.read(at, event.text)

    @property
    def series(self) -> Mapping[str, list[Point]]:
        return series_of(self.hosts.values(), self.since or 0.0)


class Following:
    """A run so far. patterns_of: how the metrics of a job are found in its lines."""

    def __init__(self, patterns_of: PatternsOf) -> None:
        self._patterns_of = patterns_of
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], Running] = {}
        self._ended: deque[Event] = deque(maxlen=1000)
        self._count: Counter[str] = Counter()
        self._lines: deque[str] = deque(maxlen=TAIL)
        self._jobs: dict[str, _JobSeen] = {}
        self._let_go: dict[str, None] = {}
        self._notes: dict[str, None] = {}
        self.has_changed = False

    def tell(self, event: Event) -> None:
        with self._lock:
            self._take(event)
            self.has_changed = True

    def _take(self, event: Event) -> None:
        key = (event.action, event.about)
        match event.kind:
            case EventKind.PLANNED:
                for action in event.plan or ():
                    if isinstance(action, RunJob) and str(action.about) not in self._jobs:
                        self._jobs[str(action.about)] = _JobSeen(self._patterns_of(action.job))
            case EventKind.LOG:
                self._lines.append(f"{event.about} | {clean(event.text)}")
                self._jobs.setdefault(event.about.partition("#")[0], _JobSeen()).read(event)
            case EventKind.STARTED:
                self._running[key] = Running(event.action, event.about, cause=event.text)
            case EventKind.PROGRESS:
                self._running.setdefault(key, Running(event.action, event.about)).take(event)
            case EventKind.ROLLING:
                row = self._running.setdefault((ROLL_OUT, event.about), Running(ROLL_OUT, event.about))
                row.text = f"step {event.text}"
            case EventKind.FINISHED | EventKind.FAILED | EventKind.SKIPPED:
                if event.action == RecordRevision.verb:  # however its rollout has ended
                    self._running.pop((ROLL_OUT, event.about), None)
                begun = self._running.pop(key, None)
                if begun and event.kind is EventKind.SKIPPED and event.action == RunJob.verb:
                    self._let_go[event.about] = None
                self._ended.append(event)
                self._count["stopped" if says_stopped(event.text) else _MARKS[event.kind][0]] += 1
            case EventKind.NOTE | EventKind.LOCK | EventKind.HELD:
                self._notes[f"{event.about}: {event.text}" if event.about else event.text] = None

    @property
    def jobs_begun(self) -> list[str]:
        """The jobs that are being followed, or were until the run was stopped: they keep running."""
        with self._lock:
            return [*self._let_go, *(about for verb, about in self._running if verb == RunJob.verb)]

    @property
    def has_failed(self) -> bool:
        """Whether anything has."""
        return self._count["failed"] > 0

    def as_text(self, ended: str = "") -> str:
        with self._lock:
            rows = ["  ".join(part for part in _texts(row) if part) for row in self._rows()]
            return "\n".join([self._headline(ended)[0], *rows])

    def as_html(self, ended: str = "") -> Html:
        """ended: how it has; '' while it lasts."""
        with self._lock:
            return fitted(lambda most: page(*self._pieces(ended, most)), MOST_ROWS)

    def _headline(self, ended: str) -> tuple[str, str]:
        seconds = seconds_text(time.monotonic() - self._begun)
        counts = ", ".join(f"{count} {word}" for word, count in self._count.items())
        tone = "bad" if self._count["failed"] else "good" if ended == "done" else "bold"
        return " · ".join(part for part in (ended or "running", counts, seconds) if part), tone

    def _rows(self) -> list[list[Cell]]:
        now = time.monotonic()
        return [
            [
                (one.verb, "name"),
                one.about,
                seconds_text(now - one.begun),
                " ".join(part for part in (one.amount, one.text or one.cause) if part).split("\n")[0],
            ]
            for one in self._running.values()
        ]

    def _pieces(self, ended: str, most: int) -> list[Html]:
        headline, tone = self._headline(ended)
        rows = self._rows()
        failed = [_problem_of(event) for event in self._ended if event.kind is EventKind.FAILED]
        done = [_ended_row(event) for event in self._ended]
        lines = element("pre", "\n".join(self._lines))
        return [
            element("p", headline, cls=tone),
            table(("NOW", "OF", "FOR", ""), rows[:most]) if rows else Html(),
            left_out(len(rows) - most, "actions under way"),
            problems(failed, most=most),
            *self._curves(most),
            folded("last lines", lines, is_open=not ended) if self._lines else Html(),
            joined(element("p", element("span", "note ", cls="change"), note) for note in list(self._notes)[-most:]),
            folded(f"{len(done)} ended", table((), done[-most:])) if done else Html(),
        ]

    def _curves(self, most: int) -> list[Html]:
        found = {about: series for about, job in self._jobs.items() if (series := job.series)}
        shown = list(found.items())[-min(most, MOST_JOBS) :] if most else []
        pieces = [joined([element("h4", about), curves(series, most=min(4, most))]) for about, series in shown]
        return [*pieces, left_out(len(found) - len(shown), "jobs with metrics")]


def _texts(row: list[Cell]) -> list[str]:
    return [clean(cell if isinstance(cell, str) else cell[0]) for cell in row]


def _problem_of(event: Event) -> Problem:
    """What failed; the display has room for all that is said of it."""
    return Problem.read(event.text or f"{event.action} failed", event.about)


def _ended_row(event: Event) -> list[Cell]:
    assert event.kind in ENDS
    took = "" if event.done is None else seconds_text(event.done)
    why = why_skipped(event) if event.kind is EventKind.SKIPPED else event.text.split("\n")[0]
    return [_MARKS[event.kind], event.action, event.about, took, (why, "dim")]
