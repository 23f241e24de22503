"""The command that makes a key for a caller of the gateway."""

from __future__ import annotations

import click

from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Example:
          sagespec key shop
    """)
)
@click.argument("name")
@takes_common_options()
def key(given: Invocation, name: str) -> int:
    """Make a key for a caller of the gateway, and show it once.

    It is written to keys/NAME, which its owner alone may read and git leaves out; sagespec.yaml names the file.
    """
    from sagespec.verbs.key import make_key

    with given.project() as project:
        made = make_key(project.root, name)
    if given.screen.format == "json":
        given.screen.document(made.as_json())
        return DONE
    given.screen.line(made.key)
    given.screen.line((f"in {made.file}; in sagespec.yaml, under gateway.callers:\n    {made.spec_line}", "dim"))
    return DONE
