"""The command that deletes what nothing needs any more: gc."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sagespec.cli.completing import complete_job
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.cli.options import WAIT

if TYPE_CHECKING:
    from sagespec.events import Event
    from sagespec.verbs.gc import Step


@click.command(
    epilog=as_written("""
        Examples:
          sagespec gc                        what is kept, and why; changes nothing
          sagespec gc --mark                 what nothing names begins to wait
          sagespec gc --sweep                deletes what has waited for a week
          sagespec gc --images --sweep       images of earlier releases and swept versions
          sagespec gc --restore churn@1 --from backup/model.tar.gz
    """)
)
@click.option("--mark", "step", flag_value="mark", help="Begin the week of waiting for what nothing names.")
@click.option("--sweep", "step", flag_value="sweep", help="Delete what was marked a week ago and is still not named.")
@click.option("--images", is_flag=True, help="Images on this engine, rather than models in the store.")
@click.option("--restore", metavar="JOB", shell_complete=complete_job, help="Give a swept job its model back.")
@click.option("--from", "archive", metavar="FILE", type=click.Path(path_type=Path), help="The copy for --restore.")
@click.option(
    "--older-than",
    "days",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=30,
    help="Keep what ended, or was built, fewer days ago.  [default: 30]",
)
@WAIT
@takes_common_options()
def gc(
    given: Invocation,
    *,
    step: str | None,
    images: bool,
    restore: str | None,
    archive: Path | None,
    days: float,
    wait_seconds: float,
) -> int:
    """Delete models that nothing needs any more.

    Without options it only looks. Manifests, logs and metrics stay, and so does all that specs of any environment, an
    alias, or a roll-back may need.
    """
    from sagespec.show.gc import write_collected, write_images_collected

    _check_usage(step, images=images, restore=restore, archive=archive)
    with given.project() as project:
        screen = given.screen

        def report(event: Event) -> None:
            screen.aside((f"{event.about}: {event.text}" if event.about else event.text, "dim"))

        older = datetime.timedelta(days=days)
        if restore:
            project.gc_restore(restore, given.folder / archive if archive else None, report=report)
        elif images:
            write_images_collected(screen, project.gc_images(sweep=step == "sweep", older_than=older))
        else:
            verb: Step = "sweep" if step == "sweep" else "mark" if step == "mark" else "look"
            found = project.gc(verb, older_than=older, report=report, wait_for_lock_seconds=wait_seconds)
            write_collected(screen, found)
    return DONE


def _check_usage(step: str | None, *, images: bool, restore: str | None, archive: Path | None) -> None:
    if restore and (step or images):
        raise click.UsageError("--restore stands alone, with --from")
    if archive and not restore:
        raise click.UsageError("--from goes with --restore")
    if images and step == "mark":
        raise click.UsageError("images are not marked: --images shows them, --images --sweep removes them")
