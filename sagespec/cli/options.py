"""Options that several commands take, and what they parse to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sagespec.reconcile.options import Options


def parse_seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    """Durations as in the specs (30s, 10m); a bare number is seconds."""
    from sagespec.spec.values import parse_duration

    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


RETRY = click.option("--retry", is_flag=True, help="Try failed jobs and revisions again.")
PRUNE = click.option("--prune", is_flag=True, help="Remove endpoints and running jobs that are no longer in any spec.")
ALLOW_EMPTY = click.option("--allow-empty", is_flag=True, help="Let --prune remove everything when no specs are left.")
WAIT = click.option(
    "--wait",
    "wait_seconds",
    metavar="DURATION",
    callback=parse_seconds,
    default="30s",
    help="How long to wait while another run has this project's lock (30s, 10m).  [default: 30s]",
)


def options_of(retry: bool, prune: bool, allow_empty: bool) -> Options:
    from sagespec.reconcile.options import Options

    return Options(retry=retry, prune=prune, allow_empty=allow_empty)
