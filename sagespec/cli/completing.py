"""Addresses as people type them: short forms made whole, and completed in the shell."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sagespec.errors import SagespecError

if TYPE_CHECKING:
    from sagespec.state.addresses import Address


def complete_address(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """job/churn@3, endpoint/churn"""
    return [str(address) for address in _in_specs(context) if str(address).startswith(incomplete)]


def complete_job(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """job/churn@3"""
    return [text for text in complete_address(context, _parameter, incomplete) if text.startswith("job/")]


def complete_endpoint(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn"""
    names = [address.name for address in _in_specs(context) if address.kind == "endpoint"]
    return [name for name in names if name.startswith(incomplete)]


def complete_restartable(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn, gateway"""
    names = complete_endpoint(context, parameter, incomplete)
    return names + ["gateway"] * "gateway".startswith(incomplete)


def complete_builtin(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """xgboost"""
    from sagespec.runtimes.choose import images_dir

    names = sorted(file.parent.name for file in images_dir().glob("*/image.json"))
    return [name for name in names if name.startswith(incomplete)]


def _in_specs(context: click.Context) -> list[Address]:
    """The addresses the specs define; none where they cannot be read, as a completion is no place to complain."""
    from sagespec.load.load import find_root, load

    folder = context.params.get("folder") or Path.cwd()
    with suppress(SagespecError, OSError):
        root = find_root(folder)
        paths = [folder / path for path in context.params.get("specs") or ()] or [root / "specs"]
        return [item.address for item in load(paths, root, check_paths=False).specs]
    return []
