"""What people and programs read: plans, progress, status, history and problems as text, JSON or Markdown.

Called by `cli` alone. A `Screen` knows where the output goes: to a terminal (colours, live lines), to a
pipe or a CI log (plain lines, no control codes) or to a program (JSON). Whatever came from a container is
cleaned before it is written, and values of environment variables that look secret are never written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from sagespec.errors import Origin, Problem
from sagespec.events import Event, EventKind, Report, Result

if TYPE_CHECKING:
    from sagespec.converge import Converged
    from sagespec.manifest import Git, Manifest, Revision
    from sagespec.plan import Action, Change, Plan
    from sagespec.runtimes import Check, ImageInfo
    from sagespec.state import Address
    from sagespec.status import EndpointState, JobState, Status, VariantState

Format = Literal["text", "json", "markdown"]
Cell = str | tuple[str, str]  # a text, or a text and its tone

MARKDOWN_LIMIT = 60_000  # characters; GitHub refuses comments above 65,536
_TONES = {"good": "32", "change": "33", "bad": "31", "name": "36", "bold": "1", "dim": "2"}

# What each action is to a reader: its tone, and the word it is counted under in a plan's last line.
VERBS: Mapping[str, tuple[str, str]] = {
    "run-job": ("good", "train"),
    "start-gateway": ("good", "start"),
    "start-instance": ("good", "start"),
    "await-healthy": ("dim", ""),
    "set-routes": ("change", "route"),
    "record-revision": ("dim", "record"),
    "drain-instance": ("dim", ""),
    "remove-instance": ("bad", "remove"),
    "remove-container": ("bad", "remove"),
}
_COUNTED = tuple(dict.fromkeys(word for _, word in VERBS.values() if word))


# -- where it goes ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Screen:
    """Where output goes and in which form. `width` is None where lines are not to be wrapped.

    root: the project's folder, to which places in problems are relative. github: inside GitHub Actions.
    """

    format: Format = "text"
    out: IO[str] = field(default_factory=lambda: sys.stdout)
    err: IO[str] = field(default_factory=lambda: sys.stderr)
    colour: bool = False
    live: bool = False
    width: int | None = None
    github: bool = False
    root: Path | None = None

    @classmethod
    def here(cls, form: Format, environment: Mapping[str, str] = os.environ) -> Screen:
        """The screen of this process, by its streams and the environment (NO_COLOR, FORCE_COLOR, CI, TERM)."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a character the terminal lacks is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
        terminal = sys.stdout.isatty() and not in_ci and environment.get("TERM") != "dumb"
        forced = environment.get("FORCE_COLOR", "") not in ("", "0")
        return cls(
            format=form,
            out=sys.stdout,
            err=sys.stderr,
            colour=(terminal or forced) and not environment.get("NO_COLOR"),
            live=terminal and form == "text",
            width=shutil.get_terminal_size().columns if terminal else None,
            github=environment.get("GITHUB_ACTIONS") == "true",
        )

    def paint(self, *cells: Cell) -> str:
        """The cells as one text, with colours where there are some."""
        return "".join(self._painted(cell) for cell in cells)

    def _painted(self, cell: Cell) -> str:
        text, tone = (cell, "") if isinstance(cell, str) else cell
        text = clean(text)
        return f"\x1b[{_TONES[tone]}m{text}\x1b[0m" if self.colour and tone and text else text

    def line(self, *cells: Cell) -> None:
        """One line, or several where a text holds newlines, to standard output."""
        self._write(self.out, self.paint(*cells))

    def aside(self, *cells: Cell) -> None:
        """A line to standard error: not part of what was asked for."""
        self._write(self.err, self.paint(*cells))

    def _write(self, stream: IO[str], text: str) -> None:
        if self.github:
            text = "\n".join(harmless(line) for line in text.split("\n"))
        stream.write(text + "\n")
        stream.flush()

    def table(self, rows: Sequence[Sequence[Cell]], *, head: Sequence[str] = (), indent: str = "") -> None:
        """Rows in aligned columns; on a terminal the last one is wrapped under itself."""
        all_rows: list[Sequence[Cell]] = [*([[(title, "dim") for title in head]] if head else []), *rows]
        texts = [[clean(cell if isinstance(cell, str) else cell[0]) for cell in row] for row in all_rows]
        count = max((len(row) for row in texts), default=0)
        widths = [max((len(row[i]) for row in texts if i < len(row) - 1), default=0) for i in range(count)]
        for row, row_texts in zip(all_rows, texts, strict=True):
            padded = [_with_text(cell, text.ljust(widths[i] + 2)) for i, (cell, text) in enumerate(zip(row, row_texts))]
            start = len(indent) + sum(widths[i] + 2 for i in range(len(row) - 1))
            last = _with_text(row[-1], _hanging(row_texts[-1], start, self.width))
            self._write(self.out, self.paint(indent, *padded[:-1], last).rstrip())

    def document(self, value: object) -> None:
        """One JSON document over several lines."""
        self.out.write(json.dumps(value, indent=2) + "\n")
        self.out.flush()

    def record(self, value: object) -> None:
        """One JSON object on a line of its own."""
        self.out.write(json.dumps(value) + "\n")
        self.out.flush()


def _with_text(cell: Cell, text: str) -> Cell:
    return text if isinstance(cell, str) else (text, cell[1])


def _hanging(text: str, start: int, width: int | None) -> str:
    """`text` broken so that it stays right of column `start`; as it is where there is no room or no limit."""
    lines = text.split("\n")
    if width is not None and width - start >= 24:
        lines = [part for line in lines for part in textwrap.wrap(line, width - start, break_on_hyphens=False) or [""]]
    return ("\n" + " " * start).join(lines)


# -- what may be written ---------------------------------------------------------------------------

_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SECRET_NAME = re.compile(
    r"secret|token|passw|passphrase|credential|private|auth|api_?key|access_?key|(^|_)(key|keys|pwd|pat|dsn|sas)(_|$)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s]*:[^/\s]*@")  # a URL with a password in it
_ENVIRONMENT = re.compile(
    r"\benvironment(?P<name>\.\w+)?(?P<of> of [\w-]+)? (?P<values>.*?)(?=\n[a-z]+-[a-z]+ |\Z)", re.DOTALL
)


def clean(text: str) -> str:
    """Without control characters: a container's log must not move the cursor or change the terminal's title."""
    if text.isprintable():
        return text
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))  # of a progress bar its last state
    return "\n".join(_CONTROLS.sub("", line) for line in lines)


def harmless(line: str) -> str:
    """A line that a GitHub runner does not take for one of its commands."""
    if line.lstrip().startswith("::"):
        line = line.replace("::", ": :", 1)
    return line.replace("##[", "## [")


def looks_secret(name: str, *values: str) -> bool:
    """Whether a variable's name, or one of its values, says that the value is nobody's business."""
    return bool(_SECRET_NAME.search(name)) or any(_SECRET_VALUE.search(value) for value in values)


def without_secrets(text: str) -> str:
    """A text that may name environment variables with their values, less the values that look secret."""

    def shown(match: re.Match[str]) -> str:
        name = (match["name"] or "").removeprefix(".")
        if name and not looks_secret(name, match["values"]):
            return match[0]
        return f"environment{match['name'] or ''}{match['of'] or ''} changed"

    return _ENVIRONMENT.sub(shown, text) if "environment" in text else text


def _masked_change(change: Change) -> Change:
    match = re.fullmatch(r"environment(?:\.(\w+))?(?: of .*)?", change.field)
    if match is None or (match[1] and not looks_secret(match[1], change.old, change.new)):
        return change
    return replace(change, old="", new="changed")


def masked(plan: Plan) -> Plan:
    """The plan without the values of environment variables that look secret."""

    def action_masked(action: Action) -> Action:
        changes = tuple(_masked_change(change) for change in action.cause.changes)
        return replace(action, cause=replace(action.cause, changes=changes))

    return replace(
        plan,
        actions=tuple(action_masked(action) for action in plan.actions),
        refused=tuple(replace(problem, what=without_secrets(problem.what)) for problem in plan.refused),
    )


# -- problems --------------------------------------------------------------------------------------


def write_problems(screen: Screen, problems: Sequence[Problem]) -> None:
    """What went wrong, to standard error; as {"error": […]} to standard output in JSON."""
    problems = [replace(problem, what=without_secrets(problem.what)) for problem in problems]
    if screen.format == "json":
        screen.record({"error": [problem.as_json() for problem in problems]})
    elif screen.format == "markdown":
        screen.line(f"**sagespec** failed: {_counted(len(problems), 'problem')}\n\n{_problems_markdown(problems)}")
    _annotate(screen, problems)
    if screen.format == "json":
        return
    for problem in problems:
        screen.aside(*_problem_cells(screen, problem))
    if len(problems) > 1:
        screen.aside((f"\n{len(problems)} problems", "bad"))


def _problem_cells(screen: Screen, problem: Problem) -> list[Cell]:
    """Place, address and fact on the first line; why and fix below."""
    cells: list[Cell] = []
    if problem.where:
        cells += [(_place(problem.where, screen.root), "bold"), "  "]
    if problem.about:
        cells += [(problem.about, "name"), ": "]
    cells.append((problem.what, "" if problem.where or problem.about else "bad"))
    for label, text in (("why", problem.why), ("fix", problem.fix)):
        if text:
            cells += ["\n", (f"  {label}  ", "dim"), _hanging(text, 7, screen.width)]
    return cells


def _place(where: Origin, root: Path | None) -> str:
    """file:line:column as seen from the current folder, so that a terminal can open it."""
    return str(replace(where, file=_seen_from(Path.cwd(), where.file, root)))


def _seen_from(folder: Path, file: str, root: Path | None) -> str:
    return os.path.relpath(root / file, folder) if root and root != folder else file


def _annotate(screen: Screen, problems: Iterable[Problem]) -> None:
    """Error annotations on the specs' lines, as GitHub Actions reads them from a log.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    if not screen.github:
        return
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    for problem in problems:
        if problem.where is None:
            continue
        values = {
            "file": _seen_from(workspace, problem.where.file, screen.root),
            "line": str(problem.where.line),
            "col": str(problem.where.column),
            "title": problem.about or "sagespec",
        }
        properties = ",".join(f"{name}={_escaped(value, ',:')}" for name, value in values.items())
        text = clean("\n".join(part for part in (problem.what, problem.why, problem.fix) if part))
        screen.err.write(f"::error {properties}::{_escaped(text)}\n")


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def write_bug(screen: Screen, error: BaseException, debug: bool) -> None:
    """An error of ours: what it is, where to report it and what to attach."""
    import traceback

    if debug:
        screen.err.write("".join(traceback.format_exception(error)))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    problem = Problem(
        what=f"{type(error).__name__}: {error}{where}",
        about="a bug in sagespec",
        why="this is not your doing; what runs goes on, and the command may be run again",
        fix="report it at https://github.com/sagespec/sagespec/issues with the output of the same command "
        "under SAGESPEC_DEBUG=1, and that of `sagespec doctor`",
    )
    write_problems(screen, [problem])


# -- plan ------------------------------------------------------------------------------------------


def counts(plan: Plan) -> dict[str, int]:
    """How many actions of each kind, and how many addresses are unchanged and refused."""
    counted = Counter(VERBS[action.verb][1] for action in plan.actions)
    refused = len({problem.about for problem in plan.refused})
    return {word: counted[word] for word in _COUNTED} | {"unchanged": len(plan.unchanged), "refused": refused}


def counts_text(plan: Plan) -> str:
    """'3 to start, 1 to route; 4 unchanged; 1 refused'."""
    return _counts_text(Counter(action.verb for action in plan.actions), counts(plan))


def _counts_text(verbs: Counter[str], others: Mapping[str, int]) -> str:
    counted: Counter[str] = Counter()
    for verb, count in verbs.items():
        counted[VERBS.get(verb, ("", ""))[1]] += count
    words = [word for word in _COUNTED if counted[word] and (word != "record" or len(verbs) == 1)]
    todo = ", ".join(f"{counted[word]} to {word}" for word in words) or (
        _counted(sum(verbs.values()), "action") if verbs else "nothing to do"
    )
    return "; ".join([todo, *(f"{others[word]} {word}" for word in ("unchanged", "refused") if others.get(word))])


def write_plan(screen: Screen, plan: Plan, *, runtime: str, title: str = "plan") -> None:
    """The plan as a list with causes, what is refused, notes, and the counts last (first in Markdown)."""
    plan = masked(plan)
    if screen.format == "json":
        return screen.document(plan.as_json() | {"counts": counts(plan), "runtime": runtime})
    _annotate(screen, plan.refused)
    if screen.format == "markdown":
        return screen.line(plan_markdown(plan, title))
    screen.line((runtime, "dim"))
    if plan.actions:
        screen.line()
        screen.table([_action_row(action) for action in plan.actions], indent="  ")
    _write_refused_and_notes(screen, plan.refused, plan.notes)
    tone = "bad" if plan.refused else "bold"
    screen.line("\n", (counts_text(plan), tone))
    return None


def _action_row(action: Action) -> list[Cell]:
    return [(action.verb, VERBS[action.verb][0]), str(action.about), (str(action.cause), "dim")]


def _write_refused_and_notes(screen: Screen, refused: Sequence[Problem], notes: Sequence[str]) -> None:
    for problem in refused:
        screen.line("\n", ("refused  ", "bad"), *_problem_cells(screen, problem))
    if notes:
        screen.line()
    for note in notes:
        screen.line(("note  ", "change"), note)


def plan_markdown(plan: Plan, title: str = "plan", limit: int = MARKDOWN_LIMIT) -> str:
    """The plan for a pull request: counts, refusals, a row for each job and endpoint, all actions folded away.

    Never longer than `limit` characters; what had to be left out is said.
    """
    parts = [f"**sagespec {title}**: {counts_text(plan)}"]
    if plan.refused:
        parts.append(_problems_markdown(plan.refused, limit // 3))
    if plan.actions:
        head = "| what | actions | why |\n|---|---|---|\n"
        parts.append(head + _shortened(_markdown_rows(plan), limit // 3, "rows"))
        parts.append(_folded("every action, in order", plan.text().split("\n"), limit // 5))
    if plan.notes:
        parts.append(_shortened([f"- {_markdown(note)}" for note in plan.notes], limit // 20, "notes"))
    if plan.unchanged:
        parts.append(_folded(f"{len(plan.unchanged)} unchanged", [str(a) for a in plan.unchanged], limit // 20))
    return "\n\n".join(parts)


def _markdown_rows(plan: Plan) -> list[str]:
    by_whole: dict[str, list[Action]] = {}
    for action in plan.actions:
        by_whole.setdefault(str(action.about.whole), []).append(action)
    rows = []
    for whole, actions in by_whole.items():
        verbs = Counter(action.verb for action in actions)
        changes = dict.fromkeys(str(change) for action in actions for change in action.cause.changes)
        why = "; ".join(changes) or str(actions[0].cause)
        rows.append(f"| `{whole}` | {_counts_text(verbs, {})} | {_markdown(why)} |")
    return rows


def _problems_markdown(problems: Sequence[Problem], limit: int = MARKDOWN_LIMIT) -> str:
    lines = []
    for problem in problems:
        head = " ".join(f"`{part}`" for part in (problem.where, problem.about) if part)
        rest = [f"{label}: {_markdown(text)}" for label, text in (("why", problem.why), ("fix", problem.fix)) if text]
        lines.append("- ❌ " + "<br>".join([f"{head} {_markdown(problem.what)}".strip(), *rest]))
    return _shortened(lines, limit, "problems")


def _markdown(text: str) -> str:
    """Words of a user, of no effect in Markdown and in a table."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|`*_\[\]@#])", r"\\\1", text).replace("\n", "<br>")


def _folded(summary: str, lines: Sequence[str], limit: int) -> str:
    fenced = [clean(line).replace("~~~~", "~ ~ ~ ~") for line in lines]
    return (
        f"<details><summary>{summary}</summary>\n\n~~~~text\n{_shortened(fenced, limit, 'lines')}\n~~~~\n\n</details>"
    )


def _shortened(lines: Sequence[str], limit: int, unit: str) -> str:
    """As many of the lines as fit, and how many were left out."""
    kept, size = [], 60  # room for the last line
    for line in lines:
        size += len(line) + 1
        if size > limit:
            rest = len(lines) - len(kept)
            return "\n".join([*kept, *(() if unit == "lines" else ("",)), f"… and {rest} more {unit}; see the log"])
        kept.append(line)
    return "\n".join(kept)


# -- progress --------------------------------------------------------------------------------------

_PROGRESS_SECONDS = 5.0  # at most so long between two plain lines of one action
_PROGRESS_SHARE = 0.1


@contextmanager
def reporting(screen: Screen) -> Iterator[Report]:
    """A report for the events of one run: live lines on a terminal, plain ones elsewhere, JSON for programs.

    A reader that goes away (`| head`) ends the output and not the work.
    """
    kind = _JsonReport if screen.format == "json" else _LiveReport if screen.live else _PlainReport
    report = kind(screen)
    lock = threading.Lock()
    gone = False

    def tell(event: Event) -> None:
        nonlocal gone
        with lock:
            if gone:
                return
            try:
                report.tell(replace(event, text=without_secrets(event.text)))
            except BrokenPipeError:
                gone = True

    try:
        with report.shown():
            yield tell
    except BrokenPipeError:
        if not gone:
            raise


class _JsonReport:
    """One JSON object a line, each with its time."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    @contextmanager
    def shown(self) -> Iterator[None]:
        yield

    def tell(self, event: Event) -> None:
        self.screen.record(replace(event, at=event.at or datetime.now(UTC)).as_json())


@dataclass
class _Running:
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
        """'40 % of 1.2 GiB', or what is known of it."""
        if self.share is not None and self.total is not None:
            total = _size(self.total) if self.unit == "bytes" else f"{self.total:g} {self.unit}".strip()
            return f"{self.share:.0%} of {total}".replace("%", " %")
        if self.done is not None:
            return _size(self.done) if self.unit == "bytes" else f"{self.done:g} {self.unit}".strip()
        return ""


class _PlainReport:
    """One line an event, progress now and then; in GitHub Actions the lines of jobs are folded."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.running: dict[tuple[str, str], _Running] = {}
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
                self.progress(self.running.setdefault(key, _Running(event.action, event.about)), event)
            case EventKind.STARTED:
                self.running[key] = _Running(event.action, event.about, cause=event.text)
                self.started(self.running[key])
            case EventKind.FINISHED | EventKind.FAILED | EventKind.SKIPPED:
                self.ended(event, self.running.pop(key, None))
            case EventKind.PLANNED:
                self.planned(event.text)
            case EventKind.RUNTIME:
                self.line((event.text, "dim"))
            case EventKind.LOCK:
                self.line(("lock     ", "change"), event.text)
            case EventKind.NOTE:
                self.line(("note     ", "change"), f"{event.about}: " if event.about else "", event.text)
            case EventKind.SETTLED:
                self.line(("settled  ", "good"), event.text)

    def planned(self, text: str) -> None:
        """A pass begins: its counts; the widths of its columns are kept for the lines that follow."""
        rows = [row for line in text.split("\n") if (row := re.split(" {2,}", line, maxsplit=2))[0] in VERBS]
        self.columns = tuple(max((len(row[i]) for row in rows if len(row) > i), default=0) for i in (0, 1))  # type: ignore[assignment]
        self.line(("plan     ", "bold"), _counts_text(Counter(row[0] for row in rows), {}))

    def started(self, running: _Running) -> None:
        self.line(("start    ", "dim"), *self._named(running.verb, running.about), ("  " + running.cause, "dim"))

    def progress(self, running: _Running, event: Event) -> None:
        new_text = event.text != running.text
        running.take(event)
        now = time.monotonic()
        moved = (running.share or 0.0) - (0.0 if new_text else running.told_share) >= _PROGRESS_SHARE
        waited = now - running.told >= (1.0 if new_text else _PROGRESS_SECONDS)
        if not (waited or (moved and running.share is not None)):
            return
        running.told, running.told_share = now, running.share or 0.0
        self.line(("         ", "dim"), f"{running.about}: ", running.text, ("  " + running.amount).rstrip())

    def ended(self, event: Event, running: _Running | None) -> None:
        words = {EventKind.FINISHED: ("done     ", "good"), EventKind.FAILED: ("failed   ", "bad")}
        seconds = f"  {_seconds(event.done)}" if running and event.done is not None else ""
        named = self._named(event.action, event.about) if event.about else []
        self.line(words.get(event.kind, ("skipped  ", "change")), *named, (seconds, "dim"))
        if event.text:
            self.line(textwrap.indent(clean(event.text), "         "))

    def _named(self, verb: str, about: str) -> list[Cell]:
        verb_width, about_width = self.columns
        return [(verb.ljust(verb_width), VERBS.get(verb, ("", ""))[0]), "  ", about.ljust(about_width)]

    def _fold(self, wanted: bool) -> None:
        """Open or close GitHub's fold round the lines of jobs; folds do not nest."""
        if self.screen.github and wanted is not self._folding:
            self.screen.out.write("::group::logs of jobs\n" if wanted else "::endgroup::\n")
            self._folding = wanted


class _LiveReport(_PlainReport):
    """Ended actions as lines that stay; below them one moving line for each action that runs."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        from rich.console import Console
        from rich.text import Text

        self._text = Text
        self._console = Console(file=screen.out, force_terminal=True, no_color=not screen.colour, highlight=False)
        ascii_only = not _can_write(screen.out, "✓✗━─⠋")
        self._marks = "+x-" if ascii_only else "✓✗–"
        self._frames = "|/-\\" if ascii_only else "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        self._bar = "#." if ascii_only else "━─"

    @contextmanager
    def shown(self) -> Iterator[None]:
        from rich.live import Live

        with Live(
            get_renderable=self._moving_lines,
            console=self._console,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def line(self, *cells: Cell) -> None:
        self._console.print(self._text.from_ansi(self.screen.paint(*cells)), soft_wrap=True)

    def started(self, running: _Running) -> None:
        """Nothing stays to be read: the moving line says it."""

    def progress(self, running: _Running, event: Event) -> None:
        running.take(event)

    def ended(self, event: Event, running: _Running | None) -> None:
        tones = {EventKind.FINISHED: (0, "good"), EventKind.FAILED: (1, "bad")}
        mark, tone = tones.get(event.kind, (2, "change"))
        seconds = _seconds(event.done) if running and event.done is not None else ""
        cause = running.cause if running and event.kind is EventKind.FINISHED else ""
        rest = f"  {seconds:>8}  {cause}".rstrip()
        self.line((self._marks[mark], tone), " ", *self._named(event.action, event.about), (rest, "dim"))
        if event.text:
            self.line(textwrap.indent(clean(event.text), "  "))

    def _moving_lines(self) -> Any:
        """Called by the refreshing thread; a copy of the rows, since others change them meanwhile."""
        now = time.monotonic()
        frame = self._frames[int(now * 10) % len(self._frames)]
        lines = [self._moving_line(running, frame, now) for running in list(self.running.values())]
        return self._text("\n").join(lines)

    def _moving_line(self, running: _Running, frame: str, now: float) -> Any:
        cells: list[Cell] = [(frame, "name"), " ", *self._named(running.verb, running.about)]
        cells.append((f"  {_seconds(now - running.begun):>8}  ", "dim"))
        if running.share is not None:
            filled = round(running.share * 20)
            cells += [(self._bar[0] * filled, "good"), (self._bar[1] * (20 - filled), "dim"), " "]
        cells.append(f"{running.amount}  {running.text}".strip() or (running.cause, "dim"))
        line = self._text.from_ansi(self.screen.paint(*cells).replace("\n", " "))
        line.truncate(self._console.width, overflow="ellipsis" if self._bar != "#." else "crop")
        return line


def _can_write(stream: IO[str], text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


# -- how a run ended -------------------------------------------------------------------------------


def write_converged(
    screen: Screen, converged: Converged, seconds: float, *, urls: Mapping[str, str], done: str = "all is as specified"
) -> None:
    """The end of apply, destroy or rollback. urls: of the endpoints by name; `done` is said when all went well."""
    plan = masked(converged.plan)
    if screen.format == "json":
        result = replace(converged, plan=plan).as_json()
        outcomes = [outcome.as_json() | {"reason": without_secrets(outcome.reason)} for outcome in converged.outcomes]
        endpoints = [{"address": f"endpoint/{name}", "url": url} for name, url in urls.items()]
        return screen.record({"result": {**result, "outcomes": outcomes, "endpoints": endpoints}})
    _annotate(screen, plan.refused)
    _write_refused_and_notes(screen, plan.refused, plan.notes)
    refused = {problem.about for problem in plan.refused}
    for outcome in converged.failures:
        if outcome.about.partition("#")[0] not in refused and outcome.about not in refused:
            first = without_secrets(outcome.reason).split("\n")[0]
            screen.line("\n", ("failed  ", "bad"), (outcome.about, "name"), f": {first}")
    screen.line("\n", _ending(converged, seconds, done))
    if urls and not converged.cancelled:
        screen.line()
        screen.table([[(f"endpoint/{name}", "name"), url] for name, url in urls.items()])
        if converged.ok and converged.outcomes and screen.live:
            name, url = next(iter(urls.items()))
            screen.line(("\ntry  ", "dim"), f"sagespec invoke {name} --file rows.csv")
            screen.line(f"     curl {url} -H 'Content-Type: text/csv' --data-binary @rows.csv")
    return None


def _ending(converged: Converged, seconds: float, done: str) -> Cell:
    results = Counter(outcome.result for outcome in converged.outcomes)
    parts = [f"{results[result]} {result}" for result in Result if results[result]]
    did = f" ({', '.join(parts)} in {_seconds(seconds)})" if parts else ""
    if converged.ok:
        return (f"{done}{did}" if parts else f"nothing to do: {done}", "good")
    if converged.cancelled:
        left = len(converged.plan.actions)
        return f"stopped{did}; {left} left to do: `sagespec apply` goes on from here", "change"
    refused = len({problem.about for problem in converged.plan.refused})
    reasons = [f"{len(converged.failures)} failed"] if converged.failures else []
    reasons += [f"{refused} refused"] if refused else []
    return f"not as specified: {', '.join(reasons) or 'it does not settle'}{did}", "bad"


# -- status ----------------------------------------------------------------------------------------

_STATE_TONES = {
    "trained": "good",
    "serving": "good",
    "running": "change",
    "rolling": "change",
    "waiting": "change",
    "stray": "change",
    "degraded": "bad",
    "held": "bad",
    "failed": "bad",
    "stopped": "bad",
    "refused": "bad",
}
_METRICS_SHOWN = 3


def write_status(screen: Screen, status: Status) -> None:
    """Jobs and endpoints, what is asked beside what is there."""
    if screen.format == "json":
        return screen.document(status_json(status))
    gateway = f"gateway {status.gateway}" if status.gateway else "gateway not running"
    screen.line((f"runtime {status.runtime} · store {status.store} · {gateway}", "dim"))
    if status.jobs:
        screen.line()
        screen.table([_job_row(job) for job in status.jobs], head=("JOB", "STATE", "TOOK", "METRICS"))
    for endpoint in status.endpoints:
        _write_endpoint(screen, endpoint)
    if not status.jobs and not status.endpoints:
        screen.line("\nno jobs and no endpoints: add a spec to specs/, or begin with `sagespec init`")
    return None


def status_json(status: Status) -> dict[str, Any]:
    return {
        "runtime": status.runtime,
        "store": status.store,
        "gateway": status.gateway,
        "jobs": [
            {
                "address": str(job.address),
                "state": job.state,
                "detail": job.detail,
                "metrics": dict(job.metrics or {}),
                "seconds": job.seconds,
                "ended_at": _iso(job.ended_at),
            }
            for job in status.jobs
        ],
        "endpoints": [
            {
                "address": str(endpoint.address),
                "state": endpoint.state,
                "detail": without_secrets(endpoint.detail),
                "url": endpoint.url,
                "revision": endpoint.revision,
                "variants": [_variant_json(variant) for variant in endpoint.variants],
            }
            for endpoint in status.endpoints
        ],
    }


def _variant_json(variant: VariantState) -> dict[str, Any]:
    return {
        "name": variant.name,
        "model": variant.model,
        "share_asked": round(variant.share_asked, 6),
        "share_live": round(variant.share_live, 6),
        "instances_asked": variant.instances_asked,
        "instances_healthy": variant.instances_healthy,
        "requests": variant.requests,
        "errors": variant.errors,
        "p50_ms": variant.p50,
        "p99_ms": variant.p99,
    }


def _job_row(job: JobState) -> list[Cell]:
    metrics = list((job.metrics or {}).items())
    shown = ", ".join(f"{name} {value:.6g}" for name, value in metrics[:_METRICS_SHOWN])
    shown += f", … {len(metrics) - _METRICS_SHOWN} more" if len(metrics) > _METRICS_SHOWN else ""
    seconds = job.seconds
    if job.state == "running" and job.ended_at:
        seconds = (datetime.now(UTC) - job.ended_at).total_seconds()
    took = "" if seconds is None else _seconds(seconds)
    detail = without_secrets(job.detail).split("\n")[0]
    return [str(job.address), (job.state, _STATE_TONES[job.state]), took, " · ".join(p for p in (shown, detail) if p)]


def _write_endpoint(screen: Screen, endpoint: EndpointState) -> None:
    revision = f"revision {endpoint.revision}" if endpoint.revision else "no revision yet"
    state = (endpoint.state, _STATE_TONES[endpoint.state])
    screen.line("\n", (str(endpoint.address), "bold"), "  ", state, "  ", f"{revision}  ", (endpoint.url, "name"))
    if endpoint.detail:
        screen.line("  ", (without_secrets(endpoint.detail), "bad"))
    head = ("VARIANT", "MODEL", "WEIGHT", "HEALTHY", "REQUESTS", "ERRORS", "P50", "P99")
    screen.table([_variant_row(variant) for variant in endpoint.variants], head=head, indent="  ")


def _variant_row(variant: VariantState) -> list[Cell]:
    same = abs(variant.share_asked - variant.share_live) < 0.0005
    weight = _percent(variant.share_live) + ("" if same else f" (asked {_percent(variant.share_asked)})")
    healthy = f"{variant.instances_healthy}/{variant.instances_asked}"
    return [
        variant.name,
        variant.model or "-",
        (weight, "" if same else "change"),
        (healthy, "bad" if variant.instances_healthy < variant.instances_asked else "good"),
        f"{variant.requests:,}",
        (f"{variant.errors:,}", "bad" if variant.errors else ""),
        _milliseconds(variant.p50),
        _milliseconds(variant.p99),
    ]


def repaint(screen: Screen, paint: Callable[[Screen], None]) -> None:
    """What `paint` writes in place of what was on the terminal; elsewhere below it."""
    if screen.live:
        screen.out.write("\x1b[H\x1b[2J")
    paint(screen)


# -- history ---------------------------------------------------------------------------------------


def write_history(
    screen: Screen, revisions: Mapping[Address, Sequence[Revision]], manifests: Sequence[Manifest]
) -> None:
    """The revisions of endpoints, oldest first, and what came of jobs."""
    if screen.format == "json":
        return screen.document(
            {
                "endpoints": [
                    {"address": str(address), "revisions": _revisions_json(rows)} for address, rows in revisions.items()
                ],
                "jobs": [_manifest_json(manifest) for manifest in manifests],
            }
        )
    for number, (address, rows) in enumerate(revisions.items()):
        if number:
            screen.line()
        screen.line((str(address), "bold"))
        head = ("REVISION", "STATUS", "WHEN", "COMMIT", "CHANGED")
        screen.table(_revision_rows(rows), head=head, indent="  ")
    if revisions and manifests:
        screen.line()
    if manifests:
        head = ("JOB", "STATUS", "WHEN", "COMMIT", "TOOK", "METRICS")
        screen.table([_manifest_row(manifest) for manifest in manifests], head=head)
    if len(manifests) == 1 and not revisions:
        _write_manifest(screen, manifests[0])
    if not revisions and not manifests:
        screen.line("no history yet: `sagespec apply` makes some")
    return None


def revision_statuses(revisions: Sequence[Revision]) -> list[str]:
    """Each revision's status; a live one that was followed by another, or by its removal, is superseded."""
    followed = False
    statuses = []
    for revision in reversed(revisions):
        status = revision.status.value
        statuses.append("superseded" if status == "live" and followed else status)
        followed = followed or status in ("live", "removed")
    return statuses[::-1]


def _changes_by_revision(revisions: Sequence[Revision]) -> list[list[str]]:
    """What each revision asked for that the one before did not; a removal asks for nothing new."""
    before: Mapping[str, str] = {}
    changes = []
    for revision in revisions:
        asked = _asked_fields(revision.asked)
        names = dict.fromkeys([*before, *asked])
        changed = [_field_change(name, before.get(name), asked.get(name)) for name in names] if before else ["first"]
        changes.append([text for text in changed if text] if revision.status.value != "removed" else [])
        before = asked
    return changes


def _asked_fields(asked: Mapping[str, Any]) -> dict[str, str]:
    """The fields a person may have changed, as text; environments only as a mark of their content."""
    fields = {}
    for variant in asked.get("variants", ()):
        of = f"of {variant['name']}"
        fields[f"model {of}"] = variant["model"]["text"]
        fields[f"weight {of}"] = f"{variant['weight']:g}"
        for name in ("instances", "cpus", "memory"):
            fields[f"{name} {of}"] = "" if variant.get(name) is None else str(variant[name])
        program = variant.get("program") or {}
        fields[f"image {of}"] = program.get("image") or ""
        fields[f"environment {of}"] = json.dumps(variant.get("environment") or {}, sort_keys=True)
        fields[f"content of the model {of}"] = variant["model"].get("identity", "")
    fields |= {f"rollout.{name}": str(value) for name, value in (asked.get("rollout") or {}).items()}
    return fields | {"protect": str(asked.get("protect", False)).lower()}


def _field_change(name: str, old: str | None, new: str | None) -> str:
    """'weight of stable 90 -> 80'; '' for what did not change or follows from another change."""
    field_name, _, variant = name.partition(" of ")
    if old == new:
        return ""
    if old is None or new is None:  # a variant came or went: said once, by its model
        added = "new" if old is None else "no"
        return f"{added} variant {variant}" + (f" serving {new}" if new else "") if field_name == "model" else ""
    if field_name == "content":
        return ""
    if field_name == "environment":
        return f"{name} changed"
    return f"{name} {old or 'unset'} -> {new or 'unset'}"


def _revisions_json(revisions: Sequence[Revision]) -> list[dict[str, Any]]:
    rows = zip(revisions, revision_statuses(revisions), _changes_by_revision(revisions), strict=True)
    return [
        {
            "number": revision.number,
            "status": status,
            "changes": changes,
            "reason": without_secrets(revision.reason),
            "git": revision.git.model_dump(mode="json", include={"commit", "dirty"}) if revision.git else None,
            "started_at": _iso(revision.started_at),
            "ended_at": _iso(revision.ended_at),
        }
        for revision, status, changes in rows
    ]


_STATUS_TONES = {"live": "good", "completed": "good", "superseded": "dim", "removed": "dim"}


def _revision_rows(revisions: Sequence[Revision]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for revision, status, changes in zip(
        revisions, revision_statuses(revisions), _changes_by_revision(revisions), strict=True
    ):
        reason = without_secrets(revision.reason).split("\n")[0]
        told = ", ".join(changes) + (f" · {reason}" if changes and reason else reason)
        rows.append(
            [
                str(revision.number),
                (status.replace("_", " "), _STATUS_TONES.get(status, "bad")),
                _when(revision.started_at),
                _commit(revision.git),
                told or "-",
            ]
        )
    return rows


def _manifest_row(manifest: Manifest) -> list[Cell]:
    metrics = list(manifest.metrics.items())[:_METRICS_SHOWN]
    took = (manifest.ended_at - manifest.started_at).total_seconds()
    return [
        f"job/{manifest.name}@{manifest.version}",
        (manifest.status.value, _STATUS_TONES.get(manifest.status.value, "bad")),
        _when(manifest.ended_at),
        _commit(manifest.git),
        _seconds(took),
        ", ".join(f"{name} {value:.6g}" for name, value in metrics) or manifest.reason.split("\n")[0] or "-",
    ]


def _write_manifest(screen: Screen, manifest: Manifest) -> None:
    """Where a model came from and what it is made of."""
    rows: list[list[Cell]] = [[("key", "dim"), manifest.key]]
    rows += [[("reason", "dim"), manifest.reason]] if manifest.reason else []
    rows += [[("program", "dim"), f"{name} {digest}".strip()] for name, digest in manifest.images.items()]
    hyperparameters = manifest.spec.get("hyperparameters") or {}
    rows.append([("hyperparameters", "dim"), ", ".join(f"{k}={v}" for k, v in hyperparameters.items()) or "-"])
    for name, data in manifest.inputs.items():
        size = f"{_counted(data.objects, 'file')}, {_size(data.bytes)}"
        rows.append([(f"channel {name}", "dim"), f"{data.source} ({size}, {data.fingerprint[:12]})"])
    for name, artifact in manifest.artifacts.items():
        rows.append([(name, "dim"), f"{artifact.key} ({_size(artifact.size)}, sha256 {artifact.sha256[:12]})"])
    phases = ", ".join(f"{name} {_seconds(value)}" for name, value in manifest.seconds.items())
    rows.append([("seconds", "dim"), phases or "-"])
    screen.line()
    screen.table(rows, indent="  ")


def _manifest_json(manifest: Manifest) -> dict[str, Any]:
    """A manifest less its environment, which may hold secrets; the store has it whole."""
    kept = manifest.model_dump(mode="json", exclude={"spec", "key_fields", "project", "name", "version", "format"})
    return {
        "address": f"job/{manifest.name}@{manifest.version}",
        "hyperparameters": manifest.spec.get("hyperparameters") or {},
        **kept,
    }


# -- the smaller documents -------------------------------------------------------------------------


def write_validated(screen: Screen, *, jobs: int, endpoints: int, files: Sequence[str], notes: Sequence[str]) -> None:
    """What `validate` found well."""
    if screen.format == "json":
        return screen.document(
            {"ok": True, "jobs": jobs, "endpoints": endpoints, "files": list(files), "notes": list(notes)}
        )
    found = f"{_counted(jobs, 'job')} and {_counted(endpoints, 'endpoint')} in {_counted(len(files), 'file')}"
    screen.line(("valid", "good"), f": {found}")
    for note in notes:
        screen.line(("note  ", "change"), note)
    return None


def write_checks(screen: Screen, checks: Sequence[Check]) -> None:
    """What `doctor` looked at, with how to mend what is not well."""
    bad = [check for check in checks if not check.ok]
    if screen.format == "json":
        rows = [{"name": c.name, "ok": c.ok, "detail": c.detail, "fix": "" if c.ok else c.fix} for c in checks]
        return screen.document({"ok": not bad, "checks": rows})
    marks = "✓✗" if _can_write(screen.out, "✓✗") else "+x"
    rows_: list[list[Cell]] = []
    for check in checks:
        mark: Cell = (marks[0], "good") if check.ok else (marks[1], "bad")
        fix = f"\nfix  {check.fix}" if check.fix and not check.ok else ""
        rows_.append([mark, check.name, check.detail + fix])
    screen.table(rows_)
    screen.line("\n", (f"{len(bad)} of {len(checks)} not well", "bad") if bad else ("all is well", "good"))
    return None


def write_images(screen: Screen, images: Sequence[ImageInfo]) -> None:
    """The built-in images, and whether the engine has them."""
    if screen.format == "json":
        rows = [{"name": i.name, "reference": i.reference, "digest": i.digest, "size": i.size} for i in images]
        return screen.document({"images": rows})
    rows_ = [
        [image.name, image.reference, image.digest[:19] or ("not built", "change"), _size(image.size)]
        if image.size or image.digest
        else [image.name, image.reference, ("not built", "change"), "-"]
        for image in images
    ]
    return screen.table(rows_, head=("IMAGE", "REFERENCE", "DIGEST", "SIZE"))


def write_split(screen: Screen, counted: Mapping[str, Sequence[float]], failed: Mapping[str, int]) -> None:
    """How the answers of repeated calls spread over the variants. counted: milliseconds by variant."""
    total = sum(len(times) for times in counted.values())
    rows: list[list[Cell]] = []
    for variant, times in sorted(counted.items()):
        ordered = sorted(times)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        cells: list[Cell] = [variant or "(none)", f"{len(times):,}", _percent(len(times) / total)]
        cells += [(f"{failed.get(variant, 0):,}", "bad" if failed.get(variant) else "")]
        rows.append([*cells, _milliseconds(ordered[len(ordered) // 2]), _milliseconds(p99)])
    screen.table(rows, head=("VARIANT", "ANSWERS", "SHARE", "ERRORS", "P50", "P99"))


# -- words and figures -----------------------------------------------------------------------------


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms" if value < 1000 else _seconds(value / 1000)


def _when(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else "-"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _commit(git: Git | None) -> str:
    return "-" if git is None else git.commit[:7] + ("+" if git.dirty else "")
