"""Commands that take something back: rollback, stop, destroy, unlock."""

from __future__ import annotations

import sys
import time

import click

from sagespec.cli.completing import complete_endpoint, complete_job, complete_revision
from sagespec.cli.ending import end_with
from sagespec.cli.given import DONE, FAILED, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.cli.options import EVEN_SUSPENDED, WAIT
from sagespec.errors import SpecError


@click.command(
    epilog=as_written("""
        Examples:
          sagespec rollback churn
          sagespec rollback churn --to 4 --reason "too many errors"
    """)
)
@click.argument("endpoint", shell_complete=complete_endpoint)
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="N",
    shell_complete=complete_revision,
    help="Revision to serve.  [default: the one that was live before]",
)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the history.")
@WAIT
@takes_common_options()
def rollback(given: Invocation, endpoint: str, to: int | None, reason: str, wait_seconds: float) -> int:
    """Serve an earlier revision of an endpoint again.

    A later apply does not put back what was rolled back until its spec changes.
    """
    from sagespec.cli.signals import stoppable

    begun = time.monotonic()
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project:
        with stoppable(given.screen) as interrupt:
            converged = project.rollback(
                name,
                to=to,
                reason=reason,
                report=interrupt.report,
                cancelled=interrupt.cancelled,
                wait_for_lock_seconds=wait_seconds,
                check=False,
            )
        return end_with(
            given, converged, begun, urls={name: project.endpoint_url(name)}, done=f"endpoint/{name} is rolled back"
        )


@click.command(
    epilog=as_written("""
        Examples:
          sagespec stop churn@3
          sagespec stop job/churn@3 --reason "wrong data"
    """)
)
@click.argument("address", shell_complete=complete_job)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the manifest.")
@takes_common_options()
def stop(given: Invocation, address: str, reason: str) -> int:
    """End a training job.

    A running job gets SIGTERM, 120 s, SIGKILL; whatever is in its model folder then is kept. A job that is queued or
    fetching its data is ended too. The run that follows the job carries this out, or this command where none does. The
    job is not run again until its spec changes, or with apply --retry. Ctrl-C ends the waiting, not the stop.
    """
    from sagespec.cli.signals import stoppable
    from sagespec.show.lists import write_stopped

    with given.project() as project:
        found = project.resolve_address(address, kind="job")
        with stoppable(given.screen, "The stop request stays.", begun=True) as interrupt:
            manifest = project.stop(found, reason=reason, report=interrupt.report, cancelled=interrupt.cancelled)
    write_stopped(given.screen, found, manifest)
    return DONE


@click.command(
    epilog=as_written("""
        Example:
          sagespec destroy --yes
    """)
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@WAIT
@EVEN_SUSPENDED
@takes_common_options()
def destroy(given: Invocation, yes: bool, wait_seconds: float, even_suspended: bool) -> int:
    """Remove all containers, the gateway and the network.

    Only those of this project. Models, logs and history stay in the store: a later apply serves the models again
    without training.
    """
    from sagespec.cli.signals import stoppable
    from sagespec.show.plan import write_plan

    screen = given.screen
    with given.project() as project:
        todo = project.plan_destroy()
        if todo.actions and not yes:
            if screen.format == "json" or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise SpecError(
                    f"destroy would run {len(todo.actions)} actions, and there is no terminal to confirm on",
                    fix="pass --yes",
                )
            write_plan(screen, todo, runtime=project.runtime_reason)
            if not click.confirm("\nRemove all of this? Everything in the store is kept"):
                return FAILED
        begun = time.monotonic()
        with stoppable(screen, "Run it again to remove the rest.") as interrupt:
            converged = project.destroy(
                even_suspended=even_suspended,
                report=interrupt.report,
                cancelled=interrupt.cancelled,
                wait_for_lock_seconds=wait_seconds,
                check=False,
            )
    done = "the rest is removed" if converged.plan.notes else "nothing of this project is running"
    return end_with(given, converged, begun, urls={}, done=done)


@click.command(
    epilog=as_written("""
        Example:
          sagespec unlock 5f3a9c21
    """)
)
@click.argument("lock_id", metavar="LOCK_ID")
@takes_common_options()
def unlock(given: Invocation, lock_id: str) -> int:
    """Take the project's lock from a dead holder.

    Rarely needed: the lock is held for seconds, and taken over automatically when its process died on this machine, or
    has not renewed it for two minutes. Jobs and those who follow them are not touched. `sagespec doctor` shows the
    holder and the id.
    """
    from sagespec.show.lists import write_unlocked

    with given.project() as project:
        holder = project.unlock(lock_id)
    write_unlocked(given.screen, holder)
    return DONE
