"""The words of `%sagespec`: the command's, with what they take. Each returns what the notebook shows, or prints."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from sagespec.errors import SagespecError, WorldError, did_you_mean

if TYPE_CHECKING:
    from sagespec.project import Project
    from sagespec.reconcile.options import Options
    from sagespec.show.screen import Screen

Thing = TypeVar("Thing")
LINES_SHOWN = 200  # of a log in a cell, which is kept with the notebook


@dataclass(frozen=True)
class Word:
    """takes: the name of its argument, or "". flags: its options. does: returns what the notebook shows, or None."""

    does: Callable[[Project, Namespace], object]
    help: str
    takes: str = ""
    flags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _status(project: Project, _: Namespace) -> object:
    return project.status()


def _plan(project: Project, given: Namespace) -> object:
    return project.plan(_options(given))


def _apply(project: Project, given: Namespace) -> object:
    return project.apply(_options(given))


def _logs(project: Project, given: Namespace) -> None:
    from sagespec.show.lists import write_log_line

    found, screen = project.resolve_address(given.name), screen_of(project)
    lines: Iterable[tuple[str, str]] = project.logs(found, follow=given.follow, tail=given.tail)
    if not given.follow and given.tail is None:
        lines, left_out = last_of(lines, LINES_SHOWN)
        if left_out:
            screen.line((f"{left_out:,} earlier lines are left out: --tail N shows more", "dim"))
    for source, line in lines:
        write_log_line(screen, source, line, alone=found.instance is not None)


def last_of(things: Iterable[Thing], most: int) -> tuple[list[Thing], int]:
    """The last ones, and how many there were before them.

    >>> last_of("abcde", 2), last_of("ab", 2)
    ((['d', 'e'], 3), (['a', 'b'], 0))
    """
    last, count = deque[Thing](maxlen=most), 0
    for thing in things:
        last.append(thing)
        count += 1
    return list(last), count - len(last)


def _history(project: Project, given: Namespace) -> object:
    return project.recorded(given.name)


def _open(project: Project, _: Namespace) -> None:
    import webbrowser

    from sagespec.web.places import place_of

    place = place_of(project.parts.kept, "dashboard")
    if place is None:
        raise WorldError("the dashboard is not running", fix="start it in a terminal: sagespec up")
    screen_of(project).line(place.url)
    webbrowser.open(place.url)


_CHANGES: Mapping[str, Mapping[str, Any]] = {
    "--retry": {"action": "store_true", "help": "try failed jobs and revisions again"},
    "--prune": {"action": "store_true", "help": "remove what is no longer in any spec"},
}
_LINES: Mapping[str, Mapping[str, Any]] = {
    "--follow": {"action": "store_true", "help": "until it ends, or you stop the cell"},
    "--tail": {"type": int, "metavar": "N", "help": "the last N lines of each container, not the last 200 of all"},
}
WORDS: Mapping[str, Word] = {
    "status": Word(_status, "each spec with its actual state"),
    "plan": Word(_plan, "what apply would do, and why", flags=_CHANGES),
    "apply": Word(_apply, "make reality match the specs", flags=_CHANGES),
    "logs": Word(_logs, "what a job or an endpoint has printed", takes="NAME", flags=_LINES),
    "history": Word(_history, "the revisions of an endpoint, the versions of a job", takes="NAME"),
    "open": Word(_open, "the dashboard, in a browser"),
}


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SagespecError(message, fix=self.format_usage().strip())


def parse(words: list[str]) -> tuple[Word, Namespace]:
    """SagespecError where they are no command of ours."""
    name, *rest = words
    if name not in WORDS:
        fix = did_you_mean(name, WORDS) or f"the words are: {', '.join(WORDS)}"
        raise SagespecError(f"%sagespec has no word {name}", fix=fix)
    word = WORDS[name]
    parser = _Parser(prog=f"%sagespec {name}", add_help=False, exit_on_error=False, allow_abbrev=False)
    if word.takes:
        parser.add_argument("name", metavar=word.takes)
    for flag, settings in word.flags.items():
        parser.add_argument(flag, **settings)
    return word, parser.parse_args(rest)


def screen_of(project: Project) -> Screen:
    from sagespec.show.screen import Screen

    return Screen(out=sys.stdout, err=sys.stderr, root=project.root)


def _options(given: Namespace) -> Options:
    from sagespec.reconcile.options import Options

    return Options(retry=given.retry, prune=given.prune)
