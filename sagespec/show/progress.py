"""The events of a run as they come: live lines on a terminal, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sagespec.display import second_text
from sagespec.events import ENDS, Event, EventKind, Report, says_stopped
from sagespec.plan import RecordRevision, RunJob
from sagespec.show.figures import seconds_text, size_text
from sagespec.show.rollouts import Lately, rolling_text, way_of
from sagespec.show.screen import Cell, Screen, hanging
from sagespec.show.verbs import VERBS, verbs_text

if TYPE_CHECKING:
    from sagespec.ongoing import Rolling
    from sagespec.plan import Plan

_PROGRESS_SECONDS = 5.0  # at most so long between two plain lines of one action
_PROGRESS_SHARE = 0.1
_LIVE_SECONDS = 0.1
ROLL_OUT = "roll-out"  # the word of a row, beside the verbs of actions
WAY = "way"  # the unit of what a rollout has behind it: its text has the figures


@contextmanager
def reporting(screen: Screen, *, timed: bool = False) -> Iterator[Report]:
    """A report for the events of one run: live lines on a terminal, plain ones elsewhere, JSON for programs.

    timed: plain lines begin with their time, for a run that lasts.

    A reader that goes away (`| head`) ends the output and not the work.
    """
    report = _report_on(screen, timed)
    lock = threading.Lock()
    gone = False

    def tell(event: Event) -> None:
        nonlocal gone
        with lock:
            if gone:
                return
            try:
                report.tell(event)
            except BrokenPipeError:
                gone = True

    try:
        with report.shown():
            yield tell
    except BrokenPipeError:
        if not gone:
            raise


def progress() -> Report:
    """A report for `Project.apply` and the like that prints lines as the command line does in a pipe."""
    report = _PlainReport(Screen.here("text"))
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            report.tell(event)

    return tell


def _report_on(screen: Screen, timed: bool) -> _JsonReport | _PlainReport:
    if screen.format == "json":
        return _JsonReport(screen)
    if screen.live:
        return _LiveReport(screen)
    return _TimedReport(screen) if timed else _PlainReport(screen)


class _JsonReport:
    """One JSON object a line, each with its time."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._rollouts = Lately()

    @contextmanager
    def shown(self) -> Iterator[None]:
        yield

    def tell(self, event: Event) -> None:
        if event.rolling and not self._rollouts.is_news(event.rolling):
            return
        self.screen.record(replace(event, at=event.at or datetime.now(UTC)).as_json())


@dataclass
class Running:
    """One action that runs, as the reader sees it. Times by the monotonic clock."""

    verb: str
    about: str
    cause: str = ""
    text: str = ""
    done: float | None = None
    total: float | None = None
    unit: str = ""
    begun: float = field(default_factory=time.monotonic)
    told: float = 0.0
    told_share: float = 0.0

    @property
    def share(self) -> float | None:
        return min(1.0, (self.done or 0.0) / self.total) if self.total else None

    def take(self, event: Event) -> None:
        self.text, self.done, self.total, self.unit = event.text, event.done, event.total, event.unit

    @property
    def amount(self) -> str:
        """'40 % of 1.2 GiB', or as much of that as is known."""
        if self.unit == WAY:
            return ""
        if self.share is not None and self.total is not None:
            total = size_text(self.total) if self.unit == "bytes" else f"{self.total:g} {self.unit}".strip()
            return f"{self.share:.0%} of {total}".replace("%", " %")
        if self.done is not None:
            return size_text(self.done) if self.unit == "bytes" else f"{self.done:g} {self.unit}".strip()
        return ""


class _PlainReport:
    """One line an event, progress now and then; in GitHub Actions the lines of jobs are folded."""

    rollouts_every_seconds = 30.0

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.rollouts = Lately(self.rollouts_every_seconds)
        self.running: dict[tuple[str, str], Running] = {}
        self.columns = (0, 0)
        self._folding = False

    @contextmanager
    def shown(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._fold(False)

    def line(self, *cells: Cell) -> None:
        self.screen.line(*cells)

    def tell(self, event: Event) -> None:
        self._fold(event.kind is EventKind.LOG)
        key = (event.action, event.about)
        match event.kind:
            case EventKind.LOG:
                self.line((f"{event.about} | ", "dim"), event.text)
            case EventKind.PROGRESS:
                self.progress(self.running.setdefault(key, Running(event.action, event.about)), event)
            case EventKind.STARTED:
                self.running[key] = Running(event.action, event.about, cause=event.text)
                self.started(self.running[key])
            case EventKind.FINISHED | EventKind.FAILED | EventKind.SKIPPED:
                self.ended(event, self.running.pop(key, None))
            case EventKind.PLANNED:
                if event.plan:
                    self.planned(event.plan)
            case EventKind.ROLLING:
                if event.rolling:
                    self.rolling(event.rolling)
            case EventKind.RUNTIME:
                self.line((event.text, "dim"))
            case EventKind.LOCK:
                self.line(("lock     ", "change"), event.text)
            case EventKind.HELD:
                self.line(("held     ", "bad"), hanging(f"{event.about}: {event.text}", 9, self.screen.width))
            case EventKind.NOTE:
                text = f"{event.about}: {event.text}" if event.about else event.text
                self.line(("note     ", "change"), hanging(text, 9, self.screen.width))
            case EventKind.SETTLED:
                self.line(("settled  ", "good"), event.text)

    def planned(self, plan: Plan) -> None:
        """A pass begins: its counts; the widths of its columns are kept for the lines that follow."""
        verbs = [action.verb for action in plan]
        self.columns = max(map(len, verbs), default=0), max((len(str(action.about)) for action in plan), default=0)
        self.line(
            ("plan     ", "bold"),
            verbs_text(Counter(verbs), _others(plan)),
        )

    def started(self, running: Running) -> None:
        self.line(("start    ", "dim"), *self._named(running.verb, running.about), ("  " + running.cause, "dim"))

    def progress(self, running: Running, event: Event) -> None:
        new_text = event.text != running.text
        running.take(event)
        now = time.monotonic()
        moved = (running.share or 0.0) - (0.0 if new_text else running.told_share) >= _PROGRESS_SHARE
        waited = now - running.told >= (1.0 if new_text else _PROGRESS_SECONDS)
        if not (waited or (moved and running.share is not None)):
            return
        running.told, running.told_share = now, running.share or 0.0
        self.line(("         ", "dim"), f"{running.about}: ", running.text, ("  " + running.amount).rstrip())

    def rolling(self, rolling: Rolling) -> None:
        if self.rollouts.is_news(rolling):
            text = f"{rolling.about}: {rolling_text(rolling, datetime.now(UTC))}"
            self.line(("rolling  ", "change"), hanging(text, 9, self.screen.width))

    def ended(self, event: Event, running: Running | None) -> None:
        failed = ("stopped  ", "change") if says_stopped(event.text) else ("failed   ", "bad")
        words = {EventKind.FINISHED: ("done     ", "good"), EventKind.FAILED: failed}
        seconds = f"  {seconds_text(event.done)}" if running and event.done is not None else ""
        named = self._named(event.action, event.about)
        if event.kind is EventKind.SKIPPED:
            self.line(("skipped  ", "change"), *named, ("  " + why_skipped(event), "dim"))
            return
        if not event.about:  # a whole pass of watch
            self.line(words[event.kind], hanging(event.text, 9, self.screen.width))
            return
        self.line(words[event.kind], *named, (seconds, "dim"))
        if event.text:
            self.line(" " * 9, hanging(_news(event), 9, self.screen.width))

    def _named(self, verb: str, about: str) -> list[Cell]:
        verb_width, about_width = self.columns
        return [(verb.ljust(verb_width), VERBS.get(verb, ("", ""))[0]), "  ", about.ljust(about_width)]

    def _fold(self, wanted: bool) -> None:
        """Open or close GitHub's fold round the lines of jobs; folds do not nest."""
        if self.screen.github and wanted is not self._folding:
            self.screen.out.write("::group::logs of jobs\n" if wanted else "::endgroup::\n")
            self._folding = wanted


class _TimedReport(_PlainReport):
    """Plain lines with date and time; the further lines of a text stand below the first."""

    rollouts_every_seconds = 300.0  # its reader comes once a day

    def line(self, *cells: Cell) -> None:
        stamp = f"{second_text(datetime.now(UTC))}  "
        below = "\n" + " " * len(stamp)
        texts = [
            cell.replace("\n", below) if isinstance(cell, str) else (cell[0].replace("\n", below), cell[1])
            for cell in cells
        ]
        super().line((stamp, "dim"), *texts)


class _LiveReport(_PlainReport):
    """Finished actions as lines that stay; below them, one live line for each running action.

    A separate thread writes reports ten times a second, so that a job that prints thousands of lines never waits
    for the terminal.
    """

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._console = Console(file=screen.out, force_terminal=True, no_color=not screen.colour, highlight=False)
        self._frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if screen.unicode else "|/-\\"
        self._lines: deque[str] = deque()
        self._left = threading.Event()
        self._live = Live(get_renderable=self._moving_lines, console=self._console, auto_refresh=False, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        writer = threading.Thread(target=self._write_often, name="show", daemon=True)
        with self._live:
            writer.start()
            try:
                yield
            finally:
                self._left.set()
                writer.join()
                self._write()

    def _write_often(self) -> None:
        while not self._left.wait(_LIVE_SECONDS):
            self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._console.print(self._text.from_ansi("\n".join(lines)), soft_wrap=True)
        self._live.refresh()

    def line(self, *cells: Cell) -> None:
        self._lines.append(self.screen.paint(*cells))

    def tell(self, event: Event) -> None:
        if event.kind is EventKind.PROGRESS and not event.action:  # an image being built; those before it are done
            self.running = {key: row for key, row in self.running.items() if key == ("", event.about)}
        if event.kind in ENDS and event.action == RecordRevision.verb:  # however its rollout has ended
            self.running.pop((ROLL_OUT, event.about), None)
        super().tell(event)
        if event.kind is EventKind.LOG and (row := self.running.get((event.action, event.about.partition("#")[0]))):
            row.take(Event(EventKind.PROGRESS, text="training"))  # the bar of its inputs is over

    def started(self, running: Running) -> None:
        """Nothing stays to be read: the moving line says it."""

    def progress(self, running: Running, event: Event) -> None:
        running.take(event)

    def rolling(self, rolling: Rolling) -> None:
        now = datetime.now(UTC)
        row = self.running.setdefault((ROLL_OUT, str(rolling.about)), Running(ROLL_OUT, str(rolling.about)))
        row.text, row.done, row.total, row.unit = rolling_text(rolling, now), way_of(rolling, now), 1.0, WAY

    def ended(self, event: Event, running: Running | None) -> None:
        marks = {EventKind.FINISHED: ("✓ ", "good"), EventKind.FAILED: ("✗ ", "bad")}
        if event.kind is EventKind.SKIPPED:
            self.line(("– ", "change"), *self._named(event.action, event.about), ("  " + why_skipped(event), "dim"))
            return
        if not event.about:
            self.line(marks[event.kind], hanging(event.text, 2, self.screen.width))
            return
        seconds = seconds_text(event.done) if running and event.done is not None else ""
        cause = running.cause if running and event.kind is EventKind.FINISHED else ""
        rest = f"  {seconds:>8}  {cause}".rstrip()
        self.line(marks[event.kind], *self._named(event.action, event.about), (rest, "dim"))
        if event.text:
            self.line("  ", hanging(_news(event), 2, self.screen.width))

    def _moving_lines(self) -> Any:
        """Called by the refreshing thread; a copy of the rows, since others change them meanwhile."""
        now = time.monotonic()
        frame = self._frames[int(now * 10) % len(self._frames)]
        lines = [self._moving_line(running, frame, now) for running in list(self.running.values())]
        return self._text("\n").join(lines)

    def _moving_line(self, running: Running, frame: str, now: float) -> Any:
        cells: list[Cell] = [(frame, "name"), " ", *self._named(running.verb, running.about)]
        cells.append((f"  {seconds_text(now - running.begun):>8}  ", "dim"))
        if running.share is not None:
            filled = round(running.share * 20)
            cells += [("━" * filled, "good"), ("─" * (20 - filled), "dim"), " "]
        cells.append(f"{running.amount}  {running.text}".strip() or (running.cause, "dim"))
        line = self._text.from_ansi(self.screen.paint(*cells).replace("\n", " "))
        line.truncate(self._console.width, overflow="ellipsis" if self.screen.unicode else "crop")
        return line


def _others(plan: Plan) -> dict[str, int]:
    return {"running": len(plan.running), "rolling": len(plan.rolling)}


def _news(event: Event) -> str:
    """Its text, less the lines that a job has printed: those were shown."""
    first, *rest = event.text.split("\n")
    if event.action != RunJob.verb or not any(line.startswith("  fix  ") for line in rest):
        return event.text
    begin = next(number for number, line in enumerate(rest) if line.startswith(("  why  ", "  fix  ")))
    return "\n".join([first.removesuffix("; its last lines:"), *rest[begin:]])


def why_skipped(event: Event) -> str:
    """The reason in one line; of an action that is waited for, its verb and address are enough."""
    return f"it waits for {event.waits_for}" if event.waits_for else " ".join(event.text.split())
