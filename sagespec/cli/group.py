"""A group whose commands keep their order, and help that keeps its lines."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path

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


def with_hint(error: click.UsageError) -> click.UsageError:
    """The same, and for a spec given as a plain word the option that takes it."""
    found = re.fullmatch(r"Got unexpected extra arguments? \((.+)\)", error.message)
    options = {option for parameter in (error.ctx.command.params if error.ctx else ()) for option in parameter.opts}
    words = found[1].split() if found and "-f" in options else []
    hint = _hint_on_files(words)
    return click.UsageError(f"{error.message}; {hint}", error.ctx) if hint else error


def refuse_files(names: Sequence[str]) -> None:
    """UsageError where specs are given in place of addresses."""
    files = [name for name in names if name.endswith((".yaml", ".yml")) or name.startswith(("/", "."))]
    if files:  # an endpoint may have the name of a folder
        raise click.UsageError(_by_option(files))


def _hint_on_files(words: Sequence[str]) -> str:
    is_file = [word.endswith((".yaml", ".yml")) or Path(word).is_dir() for word in words]
    return _by_option(words) if words and all(is_file) else ""


def _by_option(words: Sequence[str]) -> str:
    return f"specs are given by -f: {' '.join(f'-f {word}' for word in words)}"


def as_written(text: str) -> str:
    """Lines that help shows as they stand."""
    return "\n\n".join(f"\b\n{block}" for block in inspect.cleandoc(text).split("\n\n"))
