"""Commands that show what is there: status, logs, history."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sagespec.cli.completing import complete_address, complete_job
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written

if TYPE_CHECKING:
    from sagespec.project import Project
    from sagespec.show.plot import Over
    from sagespec.state.addresses import Address
    from sagespec.verbs.metrics import Series


@click.command(
    epilog=as_written("""
        Example:
          sagespec status --watch
    """)
)
@click.option("--watch", "again", is_flag=True, help="Refresh every two seconds until Ctrl-C.")
@takes_common_options()
def status(given: Invocation, again: bool) -> int:
    """Show each spec with its actual state.

    Also who follows which job, and what each `watch`, and any other run that waits, is waiting for.
    """
    from sagespec.show.status import write_status

    with given.project() as project:
        write_status(given.screen, project.status(), in_place=again)
        while again:
            time.sleep(2)
            write_status(given.screen, project.status(), in_place=True)
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec logs churn@3                     a job, running or ended
          sagespec logs churn --follow              all instances of an endpoint
          sagespec logs churn/candidate --tail 20   one variant
          sagespec logs churn@3 --plot              a job's metrics, drawn
          sagespec logs churn@3 churn@4 --plot      of two jobs, in one figure
          sagespec logs churn@3 --png auc.png train:auc validation:auc
    """)
)
@click.argument("address", shell_complete=complete_address)
@click.argument("more", metavar="[JOB]... [METRIC]...", nargs=-1, shell_complete=complete_job)
@click.option("-F", "--follow", is_flag=True, help="Keep printing new lines.")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last N lines of each container.")
@click.option(
    "--plot", is_flag=True, help="Draw a job's metrics (all, or those named) instead; --follow: redraw while it runs."
)
@click.option(
    "--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw the metrics into a PNG file."
)
@click.option(
    "--over",
    type=click.Choice(["steps", "seconds"]),
    help="Draw over the number of the point, or the time since the start. Default: steps for several jobs.",
)
@takes_common_options()
def logs(
    given: Invocation,
    address: str,
    more: tuple[str, ...],
    *,
    follow: bool,
    tail: int | None,
    plot: bool,
    png: Path | None,
    over: Over | None,
) -> int:
    """Show what a job or an endpoint has printed.

    ADDRESS is job/churn@3, endpoint/churn, endpoint/churn/candidate#0, gateway, or a short form of these:
    churn@3, churn, churn/candidate.
    """
    _check_plot(more, follow=follow, plot=plot, png=png)
    if over and not plot and not png:
        raise click.UsageError("--over goes with --plot or --png")
    from sagespec.show.lists import write_log_line

    with given.project() as project:
        found = project.resolve_address(address)
        if not str(found).endswith(address):
            given.screen.aside((str(found), "dim"))
        if plot or png:
            others = project.leading_jobs(more)
            over = over or ("steps" if others else "seconds")
            return _plot(given, project, [found, *others], more[len(others) :], follow=follow, png=png, over=over)
        for source, line in project.logs(found, follow=follow, tail=tail):
            write_log_line(given.screen, source, line, alone=found.instance is not None)
    return DONE


def _check_plot(metrics: Sequence[str], *, follow: bool, plot: bool, png: Path | None) -> None:
    if metrics and not plot and not png:
        raise click.UsageError(f"{metrics[0]}: metrics and further jobs are named with --plot or --png")
    if png and follow:
        raise click.UsageError("--png draws once; use --plot --follow to redraw")
    if files := [name for name in metrics if name.endswith(".png")]:
        raise click.UsageError(f"{files[0]} is not a metric; to draw into a file, use --png {files[0]}")


def _plot(
    given: Invocation,
    project: Project,
    jobs: Sequence[Address],
    metrics: Sequence[str],
    *,
    follow: bool,
    png: Path | None,
    over: Over,
) -> int:
    from sagespec.show.plot import write_png, write_series

    every_seconds = 1 / len(jobs)  # each is waited for in its turn
    streams = [project.series(job, metrics, follow=follow, every_seconds=every_seconds) for job in jobs]
    latest: dict[str, Series] = {}
    for found in zip_longest(*streams):  # one that has ended stays as it was
        latest |= {str(job.whole): series for job, series in zip(jobs, found, strict=True) if series is not None}
        if png:
            file = given.folder / png
            write_png(file, latest, over=over)
            given.screen.aside((f"{file}: {', '.join(dict.fromkeys(chain(*latest.values())))}", "dim"))
        else:
            write_series(given.screen, latest, in_place=follow, over=over)
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec history
          sagespec history churn        the endpoint's revisions, and the jobs of that name
          sagespec history churn@3      one job: its data, parameters and model
    """)
)
@click.argument("name", metavar="[ENDPOINT|JOB]", required=False, shell_complete=complete_address)
@takes_common_options()
def history(given: Invocation, name: str | None) -> int:
    """Show the revisions of endpoints and the results of jobs.

    What was asked for, when, from which commit, what changed, and how it ended.
    """
    from sagespec.show.history import write_history

    with given.project() as project:
        found = project.recorded(name)
    write_history(given.screen, found)
    return DONE
