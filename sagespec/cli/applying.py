"""Commands that make reality match the specs: plan, apply, watch."""

from __future__ import annotations

import time

import click

from sagespec.cli.completing import complete_restartable, complete_variant
from sagespec.cli.ending import end_with
from sagespec.cli.given import (
    CHANGES,
    DONE,
    FAILED,
    Invocation,
    takes_common_options,
)
from sagespec.cli.group import as_written
from sagespec.cli.options import ALLOW_EMPTY, PRUNE, RETRY, WAIT, options_of, parse_seconds


@click.command(
    epilog=as_written("""
        Examples:
          sagespec plan
          sagespec plan --exit-code --output markdown >> "$GITHUB_STEP_SUMMARY"
    """)
)
@RETRY
@PRUNE
@ALLOW_EMPTY
@click.option("--exit-code", is_flag=True, help="Exit with 0: nothing to do, 2: changes, 1: errors or refusals.")
@click.option("--elsewhere", is_flag=True, help="Without the engine that serves: show only what the specs change.")
@takes_common_options("markdown")
def plan(given: Invocation, *, retry: bool, prune: bool, allow_empty: bool, exit_code: bool, elsewhere: bool) -> int:
    """Show what apply would do, and why.

    Compares the specs with the engine and the store, and changes nothing. Names the jobs that other runs follow. Fails
    when something in the specs is refused.
    """
    from sagespec.show.plan import write_plan

    with given.project() as project:
        found = project.plan(options_of(retry, prune, allow_empty))
        found = found.of_specs() if elsewhere else found
        write_plan(given.screen, found, runtime=project.runtime_reason)
    if found.refused:
        return FAILED
    return CHANGES if exit_code and found.asks_for_something else DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec apply
          sagespec apply --prune --wait 10m       in CI, with more patience for the lock

        Then:
          sagespec status
          sagespec invoke ENDPOINT --file rows.csv
    """)
)
@RETRY
@PRUNE
@ALLOW_EMPTY
@WAIT
@takes_common_options()
def apply(given: Invocation, retry: bool, prune: bool, allow_empty: bool, wait_seconds: float) -> int:
    """Make reality match the specs.

    Ends when everything is up to date or has failed. Other runs may work on the project meanwhile: a job that one of
    them follows is left to it. Safe to repeat and to interrupt: Ctrl-C starts nothing new and leaves what is running.
    """
    from sagespec.cli.signals import stoppable

    begun = time.monotonic()
    with given.project() as project:
        with stoppable(given.screen) as interrupt:
            converged = project.apply(
                options_of(retry, prune, allow_empty),
                report=interrupt.report,
                cancelled=interrupt.cancelled,
                wait_for_lock_seconds=wait_seconds,
            )
        return end_with(given, converged, begun, urls=project.endpoint_urls())


@click.command(
    epilog=as_written("""
        Example:
          sagespec watch --prune
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
def watch(given: Invocation, retry: bool, prune: bool, allow_empty: bool, every_seconds: float) -> int:
    """Apply whenever a spec changes, a container dies or a job ends.

    A job that trains holds nothing else up. Other commands may be run beside it. `sagespec status` shows what it waits
    for. Ends on Ctrl-C or SIGTERM, with exit code 0; everything keeps running.
    """
    from sagespec.cli.signals import stoppable

    stop = stoppable(given.screen, "Everything keeps running.", begun=True, timed=True)
    with given.project() as project, stop as interrupt:
        project.watch(
            options_of(retry, prune, allow_empty),
            report=interrupt.report,
            cancelled=interrupt.cancelled,
            every_seconds=every_seconds,
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
    """)
)
@click.argument("name", metavar="ENDPOINT[/VARIANT]|gateway", shell_complete=complete_restartable)
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
    """Replace the containers of an endpoint, or the gateway's.

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
            )
        about = restartable(name)
        urls = {about.name: project.endpoint_url(about.name)} if about.name else {}
        return end_with(given, converged, begun, urls=urls, done=f"{about} is restarted")
