"""Commands that say which model is better: compare, feedback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from sagespec.cli.completing import complete_address, complete_endpoint, complete_job
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.errors import WorldError

if TYPE_CHECKING:
    from sagespec.project import Project


@click.command(
    epilog=as_written("""
        Examples:
          sagespec compare churn                    the variants of an endpoint
          sagespec compare endpoint/churn --png churn.png
          sagespec compare churn@2 churn@3          jobs: parameters, data, metrics
    """)
)
@click.argument("names", metavar="ENDPOINT|JOB...", nargs=-1, required=True, shell_complete=complete_address)
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw into a PNG file.")
@takes_common_options()
def compare(given: Invocation, names: tuple[str, ...], png: Path | None) -> int:
    """Say which variant of an endpoint is better, or how jobs differ.

    Of an endpoint: failures, latencies and rewards of each variant, and a verdict that holds whenever one looks.
    """
    with given.project() as project:
        if len(names) > 1:
            return _compare_jobs(given, project, names, png)
        address = project.resolve_address(names[0])
        if address.kind != "endpoint":
            raise click.UsageError(f"{names[0]} is no endpoint; of jobs, name two or more")
        return _compare_variants(given, project, address.name, png)


def _compare_variants(given: Invocation, project: Project, name: str, png: Path | None) -> int:
    from sagespec.show.compare import write_comparison, write_comparison_png

    found = project.compare(name)
    if png:
        write_comparison_png(given.folder / png, found)
        given.screen.aside((str(given.folder / png), "dim"))
    else:
        write_comparison(given.screen, found)
    return DONE


def _compare_jobs(given: Invocation, project: Project, names: Sequence[str], png: Path | None) -> int:
    from sagespec.show.jobs_compared import write_jobs_compared
    from sagespec.show.plot import write_png

    found = project.compare_jobs(*names)
    if png:
        if not any(found.series.values()):
            raise WorldError(f"none of {', '.join(names)} has printed a metric, so there is nothing to draw")
        write_png(given.folder / png, found.series, over="steps")
        given.screen.aside((str(given.folder / png), "dim"))
    else:
        write_jobs_compared(given.screen, found)
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec diff churn@3 churn@4
          sagespec diff churn@champion churn@challenger
          sagespec diff churn@3 churn@4 --plot
    """)
)
@click.argument("before", metavar="JOB", shell_complete=complete_job)
@click.argument("now", metavar="JOB", shell_complete=complete_job)
@click.option("--plot", is_flag=True, help="Draw the metrics of both, too.")
@takes_common_options()
def diff(given: Invocation, before: str, now: str, plot: bool) -> int:
    """Show what changed from one job to another, and what it gave.

    Fields that decide a model, code (as git has it), data object by object, images, metrics and times.
    """
    from sagespec.show.diff import write_diff
    from sagespec.show.plot import write_series

    with given.project() as project:
        found = project.diff(before, now)
    write_diff(given.screen, found)
    if plot and any(found.series.values()):
        write_series(given.screen, found.series, over="steps")
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec feedback churn truth.jsonl
          echo '{"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "id-1"},
            "eventVersion": "0"}' | sagespec feedback churn -
    """)
)
@click.argument("endpoint", shell_complete=complete_endpoint)
@click.argument("file", type=click.File("rb"))
@takes_common_options()
def feedback(given: Invocation, endpoint: str, file: BinaryIO) -> int:
    """Say what predictions were worth: ground truth by InferenceId.

    FILE has a line of SageMaker's ground truth for each; - is standard input. `compare` counts them as rewards.
    """
    from sagespec.show.compare import write_fed
    from sagespec.verbs.feedback import text_of_file

    text = text_of_file(file.read(), file.name)
    with given.project() as project:
        write_fed(given.screen, project.feedback(endpoint, text))
    return DONE
