"""The command drift: what was applied and is not there any more."""

from __future__ import annotations

import click

from sagespec.cli.given import CHANGES, DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Examples:
          sagespec drift
          sagespec drift --output json | jq '.counts.drift'
    """)
)
@takes_common_options("markdown")
def drift(given: Invocation) -> int:
    """Show what has changed behind sagespec's back.

    What was applied is not what is there: a container is gone, a route was changed. Changes of the specs are not drift:
    `sagespec plan` shows both. Tells, too, which trained jobs are stale, since their data (in S3, too) or image have
    moved on, and what was repaired lately. Repairs nothing.

    Exits with 0: no drift, whatever is stale, 2: drift, 1: that cannot be told.
    """
    from sagespec.show.plan import write_drift

    with given.project() as project:
        found = project.drift()
        write_drift(given.screen, found, runtime=project.runtime_reason, repaired=project.repaired())
    return CHANGES if found.actions else DONE
