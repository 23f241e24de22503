"""Commands that edit specs: bump, the next version of a job; assign, the model of a variant."""

from __future__ import annotations

import click

from sagespec.cli.completing import complete_job
from sagespec.cli.given import DONE, FAILED, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Examples:
          sagespec bump churn --set hyperparameters.num_round=200 --reason "more rounds"
          sagespec bump --due
          sagespec bump --due --pr
    """)
)
@click.argument("job", metavar="[JOB]", required=False, shell_complete=complete_job)
@click.option("--set", "settings", metavar="FIELD=VALUE", multiple=True, help="Set another field, too; repeatable.")
@click.option("--reason", default="", metavar="TEXT", help="For the message of the commit.")
@click.option("--due", "is_due", is_flag=True, help="Show what `retrain` asks for now, and why; change nothing.")
@click.option("--pr", "proposes", is_flag=True, help="With --due: open a pull request for each, or edit it.")
@click.option("--base", metavar="BRANCH", help="Of the pull requests.  [default: main]")
@click.option("--remote", metavar="NAME", help="Where the branches are pushed to.  [default: origin]")
@takes_common_options()
def bump(
    given: Invocation,
    job: str | None,
    *,
    settings: tuple[str, ...],
    reason: str,
    is_due: bool,
    proposes: bool,
    base: str | None,
    remote: str | None,
) -> int:
    """Raise the version of a job in its spec, to train it again.

    Edits the file in place: comments and quotes stay. Nothing is trained before it is applied.
    """
    from sagespec.show.proposals import write_proposed
    from sagespec.show.retraining import write_due, write_written

    _check(job, (settings, reason), is_due=is_due, proposes=proposes, places=(base, remote))
    with given.project() as project:
        if proposes:
            proposed = project.propose(base=base or "main", remote=remote or "origin")
            write_proposed(given.screen, proposed)
            return FAILED if any(one.problem for one in proposed) else DONE
        if job:
            write_written(given.screen, project.bump(job, _fields(settings), reason=reason))
        else:
            write_due(given.screen, project.due())
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec assign churn@4 churn/candidate --weight 10
          sagespec assign churn@4 endpoint/churn/stable --reason "better on the holdout"
    """)
)
@click.argument("model", metavar="JOB@VERSION", shell_complete=complete_job)
@click.argument("variant", metavar="ENDPOINT/VARIANT")
@click.option("--weight", type=click.FloatRange(min=0), metavar="N", help="Of the variant.  [default: the one it has]")
@click.option("--reason", default="", metavar="TEXT", help="For the message of the commit.")
@takes_common_options()
def assign(given: Invocation, model: str, variant: str, *, weight: float | None, reason: str) -> int:
    """Give a model to a variant of an endpoint, in its spec.

    Edits the file in place: comments and quotes stay. A variant that is not there is added. Nothing is served before it
    is applied, and the endpoint's gate decides then.
    """
    from sagespec.show.retraining import write_written

    with given.project() as project:
        write_written(given.screen, project.assign_model(model, variant, weight, reason=reason))
    return DONE


def _check(
    job: str | None,
    own: tuple[object, ...],
    *,
    is_due: bool,
    proposes: bool,
    places: tuple[str | None, ...],
) -> None:
    if is_due == bool(job):
        raise click.UsageError("name a job, or give --due")
    if is_due and any(own):
        raise click.UsageError("--set and --reason go with a job")
    if proposes and not is_due:
        raise click.UsageError("--pr goes with --due")
    if any(places) and not proposes:
        raise click.UsageError("--base and --remote go with --pr")


def _fields(settings: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in settings]
    if wrong := next((field for field, found, _ in pairs if not found or not field), None):
        raise click.UsageError(f"--set {wrong}: write FIELD=VALUE, e.g. hyperparameters.num_round=200")
    return {field: value for field, _, value in pairs}
