"""Commands that say where models came from and went: lineage."""

from __future__ import annotations

import click

from sagespec.cli.completing import complete_address
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Examples:
          sagespec lineage churn@4             what an answer says in x-sagespec-model
          sagespec lineage endpoint/churn      the models that it serves
          sagespec lineage --of-commit 91ac3de
          sagespec lineage churn@4 --output mermaid
    """)
)
@click.argument("name", metavar="[JOB|ENDPOINT]", required=False, shell_complete=complete_address)
@click.option("--of-commit", "commit", metavar="SHA", help="All that was made from a commit.")
@takes_common_options("mermaid")
def lineage(given: Invocation, name: str | None, commit: str | None) -> int:
    """Show what led to a model, and where it was served.

    Commit, data, image, code and key of the job; the revisions in which endpoints served its model, from when to when.
    """
    from sagespec.show.lineage import write_lineage

    if (name is None) == (commit is None):
        raise click.UsageError("name a job or an endpoint, or a commit by --of-commit")
    with given.project() as project:
        found = project.lineage_of_commit(commit) if commit else project.lineage(name or "")
    write_lineage(given.screen, found)
    return DONE
