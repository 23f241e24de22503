"""A group whose commands keep their order, and help that keeps its lines."""

from __future__ import annotations

import inspect

import click

from sagespec.errors import did_you_mean


class InOrder(click.Group):
    """A group whose help lists the commands as they stand below, which is the order one needs them in."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the parameter's name is click's
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            hint = did_you_mean(name, self.commands)
            raise click.UsageError(f"there is no command {name}" + (f"; {hint}" if hint else ""), ctx)
        return super().resolve_command(ctx, args)


def as_written(text: str) -> str:
    """Lines that help shows as they stand."""
    return "\n\n".join(f"\b\n{block}" for block in inspect.cleandoc(text).split("\n\n"))
