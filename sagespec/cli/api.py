"""Commands for clients made for AWS: api, up, env."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

import click

from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written

NOT_FOUND = 127  # as shells say it of a program
LOOK_SECONDS = 0.2

READ_ONLY = click.option("--read-only", is_flag=True, help="Refuse what creates or changes anything.")
PORT = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Listen on this port of 127.0.0.1.  [default: from sagespec.yaml, else 8081 or the next free one]",
)


@click.command(
    epilog=as_written("""
        Example:
          sagespec api

        Then, in another terminal or a notebook's:
          eval "$(sagespec env)"
          python train_with_the_sagemaker_sdk.py
    """)
)
@READ_ONLY
@PORT
@takes_common_options()
def api(given: Invocation, read_only: bool, port: int | None) -> int:
    """Be SageMaker for SDKs, boto3 and the AWS CLI on this machine.

    What they create becomes a spec in specs/notebook, which is applied at once, as `sagespec watch` would: it is one.
    Listens on this machine alone, for whoever signs with the key that `sagespec env` gives. Ends on Ctrl-C or SIGTERM;
    everything keeps running.
    """
    return _serve(given, read_only=read_only, port=port, with_dashboard=False)


@click.command(
    epilog=as_written("""
        Example:
          sagespec up
    """)
)
@READ_ONLY
@PORT
@takes_common_options()
def up(given: Invocation, read_only: bool, port: int | None) -> int:
    """Run all there is: what `watch`, `api` and `dashboard` do.

    One process, which applies whatever is changed by hand, by SageMaker's clients or on the dashboard. Ends on Ctrl-C
    or SIGTERM; everything keeps running.
    """
    return _serve(given, read_only=read_only, port=port, with_dashboard=True)


def _serve(given: Invocation, *, read_only: bool, port: int | None, with_dashboard: bool) -> int:
    from sagespec.cli.serving import serving
    from sagespec.cli.signals import stoppable

    stop = stoppable(given.screen, "Everything keeps running.", begun=True, timed=True)
    with (
        given.project() as project,
        stop as interrupt,
        serving(
            given, project, interrupt.report, read_only=read_only, port=port, with_dashboard=with_dashboard
        ) as loop,
    ):
        while not interrupt.cancelled.wait(LOOK_SECONDS) and not loop.ended.is_set():
            continue
    if loop.failed:
        raise loop.failed
    if given.screen.format == "json":
        given.screen.record({"event": "result", "ok": True, "stopped": True})
    return DONE


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=as_written("""
        Examples:
          eval "$(sagespec env)"
          sagespec env --shell fish | source
          sagespec env -- python train.py
    """),
)
@click.option(
    "--shell", type=click.Choice(["sh", "fish"]), default="sh", help="Whose statements to print.  [default: sh]"
)
@click.argument("command", metavar="[-- COMMAND ARGUMENTS…]", nargs=-1, type=click.UNPROCESSED)
@takes_common_options()
def env(given: Invocation, shell: Literal["sh", "fish"], command: tuple[str, ...]) -> int:
    """Print what leads clients of AWS here, or run a command with it.

    The variables hold the key of this project's control plane, which must be running: `sagespec up` or `sagespec api`.
    Predictions go to the gateway itself. Variables that would lead clients elsewhere are removed.
    """
    from sagespec.api.environment import environment_of
    from sagespec.show.environment import lines_of

    with given.project() as project:
        found = environment_of(project, os.environ)
    if command:
        return _run(command, found.over(os.environ))
    if given.screen.format == "json":
        given.screen.document(dict(found.variables))
        return DONE
    for line in lines_of(found.variables, found.unset, shell):
        click.echo(line)
    return DONE


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Become the command. Its exit code is ours."""
    try:
        sys.stdout.flush()
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606  # what the user asked to be run
    except OSError as error:
        click.echo(f"sagespec env: {command[0]}: {error.strerror}", err=True)
        return NOT_FOUND
