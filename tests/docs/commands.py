"""The commands as click has them."""

from __future__ import annotations

import click

from sagespec.cli.main import sagespec


def commands(group: click.Command = sagespec, *above: str) -> dict[tuple[str, ...], click.Command]:
    """Every command that does something, by its words."""
    if not isinstance(group, click.Group):
        return {above: group}
    return {
        words: found for name, one in group.commands.items() for words, found in commands(one, *above, name).items()
    }
