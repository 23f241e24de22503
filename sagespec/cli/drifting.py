"""The command drift: what was applied and is not there any more."""

from __future__ import annotations

import click

from sagespec.cli.given import CHANGES, DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Examples:
          sagespec drift
          sagespec drift --deep
          sagespec drift --output json | jq '.counts.drift'
    """)
)
@click.option("--deep", is_flag=True, help="Look at each container, and read every model in the store.")
@takes_common_options("markdown")
def drift(given: Invocation, deep: bool) -> int:
    """Show what has changed behind sagespec's back.

    What was applied is not what is there: a container is gone, a route was changed. Changes of the specs are not drift:
    `sagespec plan` shows both. Tells, too, which trained jobs are stale, since their data (in S3, too) or image have
    moved on, and what was repaired lately. Repairs nothing.

    With --deep it finds, too, limits that were changed by `docker update`, and models in the store that are damaged or
    gone.

    Exits with 0: no drift, whatever is stale, 2: drift, 1: that cannot be told.
    """
    from sagespec.show.plan import write_drift

    with given.project() as project:
        found = project.drift()
        damage = project.damage() if deep else ()
        write_drift(given.screen, found, runtime=project.runtime_reason, repaired=project.repaired(), damage=damage)
    return CHANGES if found.actions or damage else DONE
