"""Commands that end a rollout before its time: promote, abort."""

from __future__ import annotations

import time

import click

from sagespec.cli.completing import complete_rolled_out
from sagespec.cli.ending import end_with
from sagespec.cli.given import Invocation, takes_common_options
from sagespec.cli.group import as_written

REASON = click.option("--reason", default="", metavar="TEXT", help="Kept in the history.")
THE_REQUEST_STAYS = "The request stays: the next apply or watch carries it out."


@click.command(
    epilog=as_written("""
        Examples:
          sagespec promote churn
          sagespec promote endpoint/churn --reason "looks good"
    """)
)
@click.argument("endpoint", metavar="ENDPOINT", shell_complete=complete_rolled_out)
@REASON
@takes_common_options()
def promote(given: Invocation, endpoint: str, reason: str) -> int:
    """End a rollout now: all traffic to the new revision.

    Leaves out the steps and waits that are left. Works beside the apply or watch that follows the rollout, and carries
    it out where none does. To give a variant another model: sagespec assign.
    """
    if "@" in endpoint:
        raise click.UsageError(
            f"{endpoint} is a model; to give it to a variant: sagespec assign {endpoint} ENDPOINT/VARIANT"
        )
    return _ended(given, endpoint, reason, is_promoted=True)


@click.command(
    epilog=as_written("""
        Examples:
          sagespec abort churn
          sagespec abort endpoint/churn --reason "callers complain"
    """)
)
@click.argument("endpoint", metavar="ENDPOINT", shell_complete=complete_rolled_out)
@REASON
@takes_common_options()
def abort(given: Invocation, endpoint: str, reason: str) -> int:
    """End a rollout now: all traffic back to what was live.

    The new revision is not tried again until its spec changes, or with apply --retry. Works beside the apply or watch
    that follows the rollout, and carries it out where none does.
    """
    return _ended(given, endpoint, reason, is_promoted=False)


def _ended(given: Invocation, endpoint: str, reason: str, *, is_promoted: bool) -> int:
    from sagespec.cli.signals import stoppable

    begun, name = time.monotonic(), endpoint.removeprefix("endpoint/")
    with given.project() as project:
        with stoppable(given.screen, THE_REQUEST_STAYS) as interrupt:
            verb = project.promote if is_promoted else project.abort
            converged = verb(name, reason=reason, report=interrupt.report, cancelled=interrupt.cancelled, check=False)
        done = f"endpoint/{name}: {'the new revision' if is_promoted else 'what was live'} has all of the traffic"
        return end_with(given, converged, begun, urls={name: project.endpoint_url(name)}, done=done)
