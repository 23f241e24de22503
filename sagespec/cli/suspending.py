"""Commands that keep everybody from changing something, and that end this: suspend, resume."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from sagespec.cli.completing import complete_address
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.cli.options import parse_seconds


def parse_until(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """2h from now, or a time: 2026-12-24T18:00."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) + timedelta(seconds=parse_seconds(context, parameter, text))
        except click.BadParameter as error:
            raise click.BadParameter(f"{error.message}; a time is written 2026-12-24T18:00") from error
    return at if at.tzinfo else at.astimezone()


@click.command(
    epilog=as_written("""
        Examples:
          sagespec suspend churn --reason "figures look wrong" --until 2h
          sagespec suspend --reason "moving the store"          the whole project
    """)
)
@click.argument("address", required=False, shell_complete=complete_address)
@click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever finds it suspended.")
@click.option("--until", metavar="DURATION|TIME", callback=parse_until, help="When it ends.  [default: at resume]")
@takes_common_options()
def suspend(given: Invocation, address: str | None, reason: str, until: datetime | None) -> int:
    """Keep every run from changing something.

    Of an endpoint, a job, a notebook, or the whole project. Plans still show what would be done; nothing is, repairs
    neither, by apply, watch or a pipeline. Jobs that run are followed to their end, and rollback, restart, promote,
    abort and stop still do what they are asked to.
    """
    from sagespec.show.suspended import write_suspended

    screen = given.screen
    with given.project() as project:
        found = project.suspend(
            address, reason=reason, until=until, report=lambda event: screen.aside(f"{event.about} {event.text}")
        )
    write_suspended(screen, found, given.environment)
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec resume churn
          sagespec resume                                       the whole project
    """)
)
@click.argument("address", required=False, shell_complete=complete_address)
@takes_common_options()
def resume(given: Invocation, address: str | None) -> int:
    """End a suspension: runs may change it again.

    A `watch` does at once what was held back; else the next apply does.
    """
    from sagespec.show.suspended import write_resumed

    with given.project() as project:
        found = project.resume(address)
    write_resumed(given.screen, found)
    return DONE
