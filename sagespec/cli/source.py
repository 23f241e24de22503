"""Commands that make a project from a branch of a repository: sync, source; and what `watch` takes for it."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sagespec.cli.ending import end_with
from sagespec.cli.given import DONE, FAILED, Invocation, takes_common_options
from sagespec.cli.group import InOrder, as_written
from sagespec.cli.options import ALLOW_EMPTY, PRUNE, RETRY, WAIT, options_of, parse_seconds

if TYPE_CHECKING:
    from sagespec.reconcile.options import Options
    from sagespec.records.sources import SourceRecords
    from sagespec.verbs.sourced import Sourced

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
BEFORE = "what was applied before is up to date"  # though the branch has something else
FOLDER = click.Path(path_type=Path, file_okay=False)
SOURCE = click.option(
    "--source", "source_file", metavar="FILE", type=FILE, help="Follow the repository of this source."
)
STATE_DIR = click.option(
    "--state-dir",
    metavar="DIR",
    type=FOLDER,
    help="Where the copy and the project's state are kept.  [default: from the source]",
)
OF_WATCH = (
    SOURCE,
    click.option("--git", "url", metavar="URL", help="Follow a repository without a source: all defaults."),
    click.option("--branch", metavar="NAME", help="With --git.  [default: main]"),
    click.option(
        "--interval",
        "interval_seconds",
        metavar="DURATION",
        callback=lambda context, parameter, text: text and parse_seconds(context, parameter, text),
        help="With --git: how often it is asked.  [default: 1m]",
    ),
    STATE_DIR,
)


def takes_source(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options that name a repository; it gets them as one, `sourced`, or None."""

    @functools.wraps(command)
    def run(given: Invocation, /, **own: Any) -> int:
        names = ("source_file", "url", "branch", "interval_seconds", "state_dir")
        named = {name: own.pop(name) for name in names}
        return command(given, sourced=_sourced(given, **named), **own)

    return functools.reduce(lambda decorated, option: option(decorated), reversed(OF_WATCH), run)


def _sourced(
    given: Invocation,
    *,
    source_file: Path | None,
    url: str | None,
    branch: str | None,
    interval_seconds: float | None,
    state_dir: Path | None,
) -> Sourced | None:
    if source_file and url:
        raise click.UsageError("--source or --git? Name one repository")
    if not url and (branch or interval_seconds):
        raise click.UsageError("--branch and --interval go with --git; a source says both")
    if not (source_file or url):
        if state_dir:
            raise click.UsageError("--state-dir goes with --source or --git")
        return None
    if given.specs:
        raise click.UsageError("-f does not go with a repository: its specs are what it says")
    if source_file:
        return _of_file(given, source_file, state_dir)
    from sagespec.load.source import source_of
    from sagespec.verbs.sourced import Sourced

    said = {"branch": branch, "interval": interval_seconds, "environment": given.environment}
    source = source_of(name_of(str(url)), str(url), **{name: value for name, value in said.items() if value})
    return Sourced.at(source, given.folder, state_dir=_absolute(given, state_dir), runtime=given.runtime)


def _of_file(given: Invocation, file: Path, state_dir: Path | None) -> Sourced:
    from sagespec.load.source import load_source
    from sagespec.verbs.sourced import Sourced

    file = given.folder / file
    source = load_source(file)
    if given.environment and given.environment != source.environment:
        said = f"says {source.environment}" if source.environment else "says none"
        raise click.UsageError(f"--env (or SAGESPEC_ENV) is {given.environment}, and the source {said}")
    state_dir = _absolute(given, state_dir)
    return Sourced.at(source, file.parent, state_dir=state_dir, runtime=given.runtime, file=file)


def _absolute(given: Invocation, folder: Path | None) -> Path | None:
    return given.folder / folder if folder else None


def name_of(url: str) -> str:
    """What a source is called that has no file: as its repository is.

    >>> name_of("https://github.com/acme/models.git")
    'models'
    """
    last = re.split("[/:]", url.rstrip("/").removesuffix(".git"))[-1]
    return re.sub("[^a-zA-Z0-9]+", "-", last).strip("-")[:63] or "source"


def watch_followed(given: Invocation, sourced: Sourced, options: Options, every_seconds: float) -> None:
    from sagespec.cli.signals import stoppable
    from sagespec.show.proposals import body_of
    from sagespec.verbs.source import watch_source

    with stoppable(given.screen, "Everything keeps running.", begun=True, timed=True) as interrupt:
        watch_source(
            sourced,
            options,
            report=interrupt.report,
            cancelled=interrupt.cancelled,
            every_seconds=every_seconds,
            body=body_of,
        )


@click.command(
    "sync",
    epilog=as_written("""
        Example:
          sagespec sync --source /etc/sagespec/churn-prod.yaml
    """),
)
@click.option("--source", "source_file", metavar="FILE", type=FILE, required=True, help="The source.")
@STATE_DIR
@RETRY
@PRUNE
@ALLOW_EMPTY
@WAIT
@takes_common_options()
def apply_branch(
    given: Invocation,
    *,
    source_file: Path,
    state_dir: Path | None,
    retry: bool,
    prune: bool,
    allow_empty: bool,
    wait_seconds: float,
) -> int:
    """Apply what the branch of a source has now, once.

    For cron and systemd timers; `watch --source` does the same all the time. Ends as `apply` does, and fails as well
    where the branch's commit is held or wrong, or the repository does not answer: what was applied before is kept up
    all the same.
    """
    from sagespec.cli.signals import stoppable
    from sagespec.show.problems import write_problems
    from sagespec.verbs.source import apply_once

    begun, sourced = time.monotonic(), _of_file(given, source_file, state_dir)
    with stoppable(given.screen) as interrupt:
        found = apply_once(
            sourced,
            options_of(retry, prune, allow_empty),
            report=interrupt.report,
            cancelled=interrupt.cancelled,
            wait_for_lock_seconds=wait_seconds,
        )
    ended = {"done": BEFORE} if found.problems else {}
    code = end_with(given, found.done, begun, urls=found.urls, curl=found.curl, **ended) if found.done else FAILED
    if found.problems:
        write_problems(given.screen, found.problems)
    return code or (FAILED if found.problems else DONE)


@click.group(cls=InOrder, short_help="Show how far a followed branch has come; approve a commit.")
def source() -> None:
    """What has become of the branch that a project follows."""


@source.command(
    epilog=as_written("""
        Examples:
          sagespec source status --source /etc/sagespec/churn-prod.yaml
          sagespec source status --output json       of the project in this folder
    """)
)
@SOURCE
@STATE_DIR
@takes_common_options()
def status(given: Invocation, *, source_file: Path | None, state_dir: Path | None) -> int:
    """Show which commit is in force, and why a newer one is not.

    Asks the store alone, not the repository. Fails where the branch's commit is held, wrong or has failed.
    """
    from sagespec.show.source import write_source
    from sagespec.verbs.source import source_state

    state = source_state(_records(given, source_file, state_dir))
    write_source(given.screen, state)
    return DONE if state.is_well else FAILED


@source.command(
    epilog=as_written("""
        Example:
          sagespec source approve 3f9a1c0b72de --source /etc/sagespec/churn-prod.yaml
    """)
)
@click.argument("digest")
@SOURCE
@STATE_DIR
@takes_common_options()
def approve(given: Invocation, digest: str, *, source_file: Path | None, state_dir: Path | None) -> int:
    """Let the plan be applied that waits for it.

    That plan and no other: where the world or the branch has changed since, its digest is another one. `source status`
    shows the plan. Whoever follows the branch applies it at the next look.
    """
    from sagespec.show.source import write_released
    from sagespec.verbs.approving import approve as approve_plan

    held = approve_plan(_records(given, source_file, state_dir), digest, _command(given, source_file, state_dir))
    write_released(given.screen, "approved", held)
    return DONE


@source.command(
    epilog=as_written("""
        Example:
          sagespec source accept 9b2d0c41aa0f --source /etc/sagespec/churn-prod.yaml
    """)
)
@click.argument("commit")
@SOURCE
@STATE_DIR
@takes_common_options()
def accept(given: Invocation, commit: str, *, source_file: Path | None, state_dir: Path | None) -> int:
    """Let a commit be applied that rewrites the history.

    That commit and no other. Its signature and specs are looked at as those of any other.
    """
    from sagespec.show.source import write_released
    from sagespec.verbs.approving import accept as accept_commit

    held = accept_commit(_records(given, source_file, state_dir), commit, _command(given, source_file, state_dir))
    write_released(given.screen, "accepted", held)
    return DONE


def _command(given: Invocation, source_file: Path | None, state_dir: Path | None) -> Callable[[str], str]:
    """How the same project is named in another call."""
    from sagespec.state.source import source_command

    return _of_file(given, source_file, state_dir).command if source_file else source_command


def _records(given: Invocation, source_file: Path | None, state_dir: Path | None) -> SourceRecords:
    """Of a source, or of the project in this folder."""
    from sagespec.records.sources import SourceRecords

    if source_file:
        return _of_file(given, source_file, state_dir).records_before()
    with given.project() as project:
        return SourceRecords(project.parts.store, project.parts.settings.name)
