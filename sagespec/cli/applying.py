"""Commands that make reality match the specs: apply, watch, restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from sagespec.cli.completing import complete_restartable, complete_variant
from sagespec.cli.ending import end_with
from sagespec.cli.given import ANOTHER_PLAN, DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.cli.options import ALLOW_EMPTY, EVEN_SUSPENDED, NO_WAIT, PRUNE, RETRY, WAIT, options_of, parse_seconds
from sagespec.cli.source import takes_source, watch_followed

if TYPE_CHECKING:
    from sagespec.verbs.sourced import Sourced


@click.command(
    epilog=as_written("""
        Examples:
          sagespec apply
          sagespec apply --prune --wait 10m       in CI, with more patience for the lock
          sagespec apply --no-wait                a rollout of hours is left to watch
          sagespec apply --expect plan.json       only what `plan --save plan.json` has shown

        Then:
          sagespec status
          sagespec invoke ENDPOINT --file rows.csv
    """)
)
@RETRY
@PRUNE
@ALLOW_EMPTY
@WAIT
@NO_WAIT
@click.option(
    "--expect",
    metavar="DIGEST|FILE",
    help="Do nothing unless the plan is the one with this digest, or of `plan --save`.",
)
@EVEN_SUSPENDED
@takes_common_options()
def apply(
    given: Invocation,
    *,
    retry: bool,
    prune: bool,
    allow_empty: bool,
    wait_seconds: float,
    no_wait: bool,
    expect: str | None,
    even_suspended: bool,
) -> int:
    """Make reality match the specs.

    Ends when everything is up to date or has failed; a rollout that is taken back has failed. Other runs may work on
    the project meanwhile: a job that one of them follows is left to it. What somebody has suspended is refused. Safe to
    repeat and to interrupt: Ctrl-C starts nothing new and leaves what is running.
    """
    from sagespec.apply.approved import AnotherPlan, approved
    from sagespec.cli.signals import stoppable
    from sagespec.show.problems import write_problems

    begun = time.monotonic()
    expects = approved(expect, given.folder) if expect else None
    with given.project() as project:
        try:
            with stoppable(given.screen) as interrupt:
                converged = project.apply(
                    options_of(
                        retry, prune, allow_empty, no_wait=no_wait, expects=expects, even_suspended=even_suspended
                    ),
                    report=interrupt.report,
                    cancelled=interrupt.cancelled,
                    wait_for_lock_seconds=wait_seconds,
                    check=False,
                )
        except AnotherPlan as error:
            write_problems(given.screen, error.problems)
            return ANOTHER_PLAN
        return end_with(given, converged, begun, urls=project.endpoint_urls(), curl=project.curl)


@click.command(
    epilog=as_written("""
        Examples:
          sagespec watch --prune
          sagespec watch --source /etc/sagespec/churn-prod.yaml     a branch, in place of this folder
    """)
)
@RETRY
@PRUNE
@ALLOW_EMPTY
@click.option(
    "--every",
    "every_seconds",
    metavar="DURATION",
    callback=parse_seconds,
    default="30s",
    help="Check at least this often, even when nothing has changed.  [default: 30s]",
)
@takes_common_options()
@takes_source
def watch(
    given: Invocation, *, sourced: Sourced | None, retry: bool, prune: bool, allow_empty: bool, every_seconds: float
) -> int:
    """Apply whenever a spec changes, a container dies or a job ends.

    A job that trains holds nothing else up. Other commands may be run beside it. `sagespec status` shows what it waits
    for. Ends on Ctrl-C or SIGTERM, with exit code 0; everything keeps running.
    """
    from sagespec.cli.signals import stoppable
    from sagespec.show.proposals import body_of
    from sagespec.verbs.watch import watch as watch_parts

    options = options_of(retry, prune, allow_empty)
    if sourced:
        watch_followed(given, sourced, options, every_seconds)
    else:
        stop = stoppable(given.screen, "Everything keeps running.", begun=True, timed=True)
        with given.project() as project, stop as interrupt:
            watch_parts(
                project.parts,
                options,
                report=interrupt.report,
                cancelled=interrupt.cancelled,
                every_seconds=every_seconds,
                body=body_of,
            )
    if given.screen.format == "json":
        given.screen.record({"event": "result", "ok": True, "stopped": True})
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec restart churn
          sagespec restart churn/candidate --reason "image with a security fix"
          sagespec restart gateway
          sagespec restart notebook/work
    """)
)
@click.argument("name", metavar="ENDPOINT[/VARIANT]|notebook/NAME|gateway", shell_complete=complete_restartable)
@click.option(
    "--variant",
    metavar="NAME",
    shell_complete=complete_variant,
    help="Only this variant.  [default: all of the endpoint]",
)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the history.")
@WAIT
@takes_common_options()
def restart(given: Invocation, name: str, variant: str | None, reason: str, wait_seconds: float) -> int:
    """Replace containers by new ones; start a notebook again.

    The new ones are made from the images of this release. New instances must be healthy before they take the traffic
    over, and the old ones end their requests first: none is lost. There is one gateway, so for some seconds nothing
    listens while it is restarted; requests in flight may end before.
    """
    from sagespec.cli.signals import stoppable
    from sagespec.verbs.addresses import restartable, with_variant

    begun = time.monotonic()
    name, named = with_variant(name)
    if named and variant not in (None, named):
        raise click.UsageError(f"{named} or {variant}? Name one variant")
    variant = named or variant
    with given.project() as project:
        with stoppable(given.screen) as interrupt:
            converged = project.restart(
                name,
                variant=variant,
                reason=reason,
                report=interrupt.report,
                cancelled=interrupt.cancelled,
                wait_for_lock_seconds=wait_seconds,
                check=False,
            )
        about = restartable(name)
        urls = {about.name: project.endpoint_url(about.name)} if about.kind == "endpoint" else {}
        return end_with(given, converged, begun, urls=urls, done=f"{about} is restarted")
