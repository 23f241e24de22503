"""What every command has: its common options, and an exit code for whatever it raises.

0 done, 1 failed, 2 `plan --exit-code` with changes, 64 wrong usage, 65 another plan than `apply --expect` allows,
130 stopped by Ctrl-C or SIGTERM, 141 the reader of the output went away.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from sagespec.cli.completing import complete_environment
from sagespec.errors import InternalError, Problem, SagespecError, SpecError
from sagespec.spec.runtimes import RUNTIME_CHOICES, RuntimeChoice

if TYPE_CHECKING:
    from sagespec.project import Project
    from sagespec.show.screen import Screen

DONE, FAILED, CHANGES, WRONG_USAGE, ANOTHER_PLAN, STOPPED, READER_GONE = 0, 1, 2, 64, 65, 130, 141

RUBBISH_AFTER = 10_000  # new things; Python's 700 has it look a hundred times through modules, which all stay

Output = Literal["text", "plain", "json", "markdown", "mermaid"]
Command = Callable[..., int]

OPTIONS = (
    click.option(
        "-C",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Look for the project here and in parent folders.  [default: the current folder]",
    ),
    click.option(
        "-f",
        "specs",
        metavar="PATH",
        multiple=True,
        type=click.Path(path_type=Path),
        help="File or folder with specs; can be repeated.  [default: specs/]",
    ),
    click.option(
        "--env",
        "environment",
        metavar="NAME",
        shell_complete=complete_environment,
        help="One of environments/.  [default: SAGESPEC_ENV, else none]",
    ),
    click.option(
        "--runtime",
        type=click.Choice(RUNTIME_CHOICES),
        help="Docker, processes, a Swarm; auto: as last, else what is there.  [default: from sagespec.yaml, else auto]",
    ),
    click.option("--debug", is_flag=True, default=None, help="Show a traceback if sagespec itself fails."),
)


def output_option(*formats: str) -> Callable[[Any], Any]:
    """`--output`, of commands that can show themselves in these formats."""
    return click.option(
        "--output",
        type=click.Choice(formats),
        help="plain: text without colours or moving lines; json: for programs.  [default: text]",
    )


@dataclass
class Invocation:
    """The common options as they were given. start: None where it is the current folder. root: the project's folder,
    once it was found."""

    start: Path | None
    specs: tuple[Path, ...]
    runtime: RuntimeChoice | None
    environment: str
    output: Output
    debug: bool
    root: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the project is looked for."""
        try:
            return (self.start or Path()).absolute()
        except FileNotFoundError:
            raise SpecError(
                "the current folder is gone",
                why="it was deleted, or another folder has taken its place",
                fix='`cd "$PWD"` enters the folder that has its name now; -C names another',
            ) from None

    @property
    def screen(self) -> Screen:
        from sagespec.show.screen import Screen

        screen = replace(Screen.here("text" if self.output == "plain" else self.output), root=self.root)
        return replace(screen, colour=False, live=False, width=None) if self.output == "plain" else screen

    def project(self) -> Project:
        """The project round the start folder; paths of `-f` are relative to that folder."""
        gc.set_threshold(RUBBISH_AFTER)
        from sagespec.project import Project

        specs = [self.folder / path for path in self.specs]
        project = Project.open(self.folder, specs=specs, runtime=self.runtime, environment=self.environment or None)
        self.root = project.root
        screen = self.screen
        project.parts.waits.tell = lambda text: screen.aside((text, "dim"))
        return project


def takes_common_options(*more_formats: str) -> Callable[[Command], Command]:
    """Gives a command the common options, as its first argument, and turns what it raises into an exit code."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            *,
            folder: Path | None,
            specs: tuple[Path, ...],
            runtime: Any,
            environment: str | None,
            output: Output | None,
            debug: bool | None,
            **own: Any,
        ) -> int:
            wants_debug = bool(debug) or os.environ.get("SAGESPEC_DEBUG", "") not in ("", "0")
            variable = os.environ.get("SAGESPEC_ENV", "")  # not click's: that would win over `sagespec --env`
            given = Invocation(folder, specs, runtime, environment or variable, output or "text", wants_debug)
            return _exit_code(given, functools.partial(command, given, **own))

        for option in reversed((*OPTIONS, output_option("text", "plain", "json", *more_formats))):
            run = option(run)
        return run

    return decorate


def _exit_code(given: Invocation, command: Callable[[], int]) -> int:
    try:
        return command()
    except (click.ClickException, click.Abort):
        raise
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        return reader_gone()
    except InternalError as error:
        return _bug(given, error)
    except SagespecError as error:
        return _failed(given, error.problems)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return _failed(given, (Problem(what, fix="run `sagespec doctor` to find out what is wrong"),))
    except Exception as error:
        return _bug(given, error)


def _failed(given: Invocation, problems: tuple[Problem, ...]) -> int:
    from sagespec.show.problems import write_problems

    write_problems(given.screen, problems)
    return FAILED


def _bug(given: Invocation, error: Exception) -> int:
    from sagespec.show.problems import write_bug

    write_bug(given.screen, error, given.debug)
    return FAILED


def reader_gone() -> int:
    """`| head` has seen enough. What is still buffered goes nowhere, so that leaving says nothing either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return READER_GONE
