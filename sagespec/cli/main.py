"""The commands: read arguments, call `Project`, show what came of it, end with an exit code.

Nothing heavy is imported before a command needs it, so that `--help` is quick.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from sagespec import __version__
from sagespec.cli.api import api, env, up
from sagespec.cli.applying import apply, restart, watch
from sagespec.cli.asking import invoke
from sagespec.cli.comparing import compare, diff, feedback
from sagespec.cli.dashboard import dashboard
from sagespec.cli.drifting import drift
from sagespec.cli.gc import gc
from sagespec.cli.given import (
    DONE,
    FAILED,
    OPTIONS,
    STOPPED,
    WRONG_USAGE,
    output_option,
    reader_gone,
)
from sagespec.cli.group import InOrder, as_written, with_hint
from sagespec.cli.importing import import_model
from sagespec.cli.keys import key
from sagespec.cli.looking import history, logs, status
from sagespec.cli.machine import completion, doctor, images, version
from sagespec.cli.notebook import notebook
from sagespec.cli.planning import plan
from sagespec.cli.retraining import assign, bump
from sagespec.cli.rollouts import abort, promote
from sagespec.cli.source import apply_branch, source
from sagespec.cli.specs import init, schema, show, validate
from sagespec.cli.suspending import resume, suspend
from sagespec.cli.tracing import lineage
from sagespec.cli.undoing import destroy, rollback, stop, unlock

STDERR = 2  # the last of the three standard streams

# In the order in which one needs them.
COMMANDS = (
    init, validate, show, schema, plan, drift, apply, watch, apply_branch, source,
    up, api, env, status, logs, invoke, compare, diff, feedback,
    history, lineage, import_model, bump, assign, promote, abort, rollback, restart, stop, suspend, resume, destroy, gc,
    unlock, dashboard,
    notebook, key, images, doctor, completion, version,
)  # fmt: skip


def options_of_every_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """`sagespec -C dir plan` is `sagespec plan -C dir`."""
    options = (*OPTIONS, output_option("text", "plain", "json", "markdown"))
    return functools.reduce(lambda decorated, option: option(decorated), options, command)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=as_written("""
        Start with:
          sagespec init       a small working project in this folder
          sagespec plan       what would be done, and why
          sagespec apply      do it: train, serve, split the traffic
          sagespec status     what runs

        Exit codes: 0 done, 1 failed, 64 wrong usage, 130 stopped; plan --exit-code, drift: 2 changes;
        apply --expect: 65 another plan.
    """),
)
@click.version_option(__version__, message="sagespec %(version)s")
@options_of_every_command
@click.pass_context
def sagespec(context: click.Context, /, **given: Any) -> None:
    """SageMaker's train and serve loop on your own machine: what runs is what your YAML specs say."""
    options = {name: value for name, value in given.items() if value not in (None, ())}
    of_images, of_source = (dict.fromkeys(group.commands, options) for group in (images, source))
    context.default_map = dict.fromkeys(sagespec.commands, options) | {"images": of_images, "source": of_source}


for command in COMMANDS:
    sagespec.add_command(command)


def _open_closed_streams() -> None:
    """What `>&-` has closed leads nowhere: else the next file that is opened would be the standard output of all that
    is started."""
    if sys.stdin and sys.stdout and sys.stderr:
        return
    while (opened := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    _open_closed_streams()
    try:
        code = sagespec.main(arguments, prog_name="sagespec", standalone_mode=False)
    except click.ClickException as error:
        (with_hint(error) if isinstance(error, click.UsageError) else error).show()
        return WRONG_USAGE if isinstance(error, click.UsageError) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return STOPPED
    except BrokenPipeError:
        return reader_gone()
    return code if isinstance(code, int) else DONE
