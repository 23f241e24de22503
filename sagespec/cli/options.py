"""Options that several commands take, and what they parse to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sagespec.reconcile.options import Approved, Options


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


NO_WAIT = click.option("--no-wait", is_flag=True, help="Begin rollouts, and leave their steps to `sagespec watch`.")


EVEN_SUSPENDED = click.option("--even-suspended", is_flag=True, help="Also what somebody has suspended; it stays so.")


def options_of(
    retry: bool,
    prune: bool,
    allow_empty: bool,
    *,
    no_wait: bool = False,
    expects: Approved | None = None,
    even_suspended: bool = False,
) -> Options:
    from sagespec.reconcile.options import Options

    return Options(
        retry=retry,
        prune=prune,
        allow_empty=allow_empty,
        no_wait=no_wait,
        expects=expects,
        even_suspended=even_suspended,
    )
