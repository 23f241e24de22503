"""Commands that take something back: rollback, stop, destroy, unlock."""

from __future__ import annotations

import sys
import time

import click

from sagespec.cli.completing import complete_endpoint, complete_job
from sagespec.cli.ending import end_with
from sagespec.cli.given import (
    DONE,
    FAILED,
    Shared,
    shared,
)
from sagespec.cli.group import as_written
from sagespec.cli.options import WAIT
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
    "--to", type=click.IntRange(min=1), metavar="N", help="Which revision.  [default: the one that was live before]"
)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the history.")
@WAIT
@shared()
def rollback(given: Shared, endpoint: str, to: int | None, reason: str, wait_seconds: float) -> int:
    """Serve an earlier revision of an endpoint again.

    What is rolled back is not put back by a later apply until its spec changes.
    """
    from sagespec.cli.signals import stoppable

    begun = time.monotonic()
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project:
        with stoppable(given.screen) as stop:
            converged = project.rollback(
                name,
                to=to,
                reason=reason,
                report=stop.report,
                cancelled=stop.cancelled,
                wait_for_lock_seconds=wait_seconds,
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
@shared()
def stop(given: Shared, address: str, reason: str) -> int:
    """End a training job.

    One that runs gets SIGTERM, 120 s, SIGKILL, and what lies in its model folder then is kept. One that waits or
    fetches its data is ended as well. It is not run again until its spec changes, or by apply --retry. Ctrl-C ends
    the waiting, not the stop.
    """
    from sagespec.cli.signals import stoppable

    with given.project() as project:
        found = project.resolve_address(address, kind="job")
        with stoppable(given.screen, "The request stays.", begun=True) as stop:
            manifest = project.stop(found, reason=reason, report=stop.report, cancelled=stop.cancelled)
    if given.screen.format == "json":
        result = {"status": manifest.status.value, "reason": manifest.reason, "artifacts": sorted(manifest.artifacts)}
        given.screen.record({"event": "result", "ok": True, "job": str(found)} | result)
    elif manifest.status.value == "stopped":
        kept = "what was in its model folder is kept" if "model" in manifest.artifacts else "it had no model"
        given.screen.line(("stopped", "good"), f": {found}; {kept}")
    else:
        given.screen.line(("ended", "good"), f": {found} ended by itself before: {manifest.verdict}")
    return DONE


@click.command(
    epilog=as_written("""
        Example:
          sagespec destroy --yes
    """)
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@WAIT
@shared()
def destroy(given: Shared, yes: bool, wait_seconds: float) -> int:
    """Remove all containers, the gateway and the network.

    Of this project alone. Models, logs and history stay in the store: a later apply serves them again without
    training.
    """
    from sagespec.cli.signals import stoppable
    from sagespec.show import write_plan

    screen = given.screen
    with given.project() as project:
        todo = project.plan_destroy()
        if todo.actions and not yes:
            if screen.format == "json" or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise SpecError(
                    f"destroy would take {len(todo.actions)} actions, and nobody can be asked here",
                    fix="say --yes if that is meant",
                )
            write_plan(screen, todo, runtime=project.runtime_reason)
            if not click.confirm("\nRemove all this? What is in the store stays"):
                return FAILED
        begun = time.monotonic()
        with stoppable(screen, "Run it again to remove the rest.") as stop:
            converged = project.destroy(
                report=stop.report, cancelled=stop.cancelled, wait_for_lock_seconds=wait_seconds
            )
    return end_with(given, converged, begun, urls={}, done="nothing of this project runs")


@click.command(
    epilog=as_written("""
        Example:
          sagespec unlock 5f3a9c21
    """)
)
@click.argument("lock_id", metavar="LOCK_ID")
@shared()
def unlock(given: Shared, lock_id: str) -> int:
    """Take the project's lock from a dead holder.

    Seldom needed: the lock of a process that died on this machine, or has not renewed it for two minutes, is
    taken over without this. `sagespec doctor` shows the holder and the id.
    """
    with given.project() as project:
        holder = project.unlock(lock_id)
    if given.screen.format == "json":
        given.screen.document({"unlocked": holder.id, "holder": str(holder)})
    else:
        given.screen.line(("unlocked", "good"), f": it was held by {holder}")
    return DONE
