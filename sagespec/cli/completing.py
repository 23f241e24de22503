"""Addresses as people type them: short forms made whole, and completed in the shell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sagespec.errors import SagespecError

if TYPE_CHECKING:
    from sagespec.load.loaded import LoadedSpec
    from sagespec.state.addresses import Address


def complete_address(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn@3, churn; job/churn@3, endpoint/churn once the kind is typed"""
    addresses = _in_specs(context)
    short = [str(address).partition("/")[2] for address in addresses]
    return [text for text in (*dict.fromkeys(short), *map(str, addresses)) if text.startswith(incomplete)]


def complete_job(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn@3, job/churn@3"""
    jobs = [str(address) for address in _in_specs(context) if address.kind == "job"]
    return [text for text in (*(job.partition("/")[2] for job in jobs), *jobs) if text.startswith(incomplete)]


def complete_endpoint(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn"""
    names = [address.name for address in _in_specs(context) if address.kind == "endpoint"]
    return [name for name in names if name.startswith(incomplete)]


def complete_variant(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """candidate, of the endpoint that stands before it"""
    from sagespec.spec.endpoint import Endpoint

    typed = [word for word in context.args if not word.startswith("-")]  # not parsed: the option lacks its value
    name = typed[0].removeprefix("endpoint/") if typed else ""
    specs = [item.spec for item in _specs(context) if item.address.kind == "endpoint" and item.address.name == name]
    names = [variant.name for spec in specs if isinstance(spec, Endpoint) for variant in spec.variants]
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
    return [item.address for item in _specs(context)]


def _specs(context: click.Context) -> Sequence[LoadedSpec]:
    """None where they cannot be read, as a completion is no place to complain."""
    from sagespec.load.load import find_root, load

    folder = context.params.get("folder") or Path.cwd()
    with suppress(SagespecError, OSError):
        root = find_root(folder)
        paths = [folder / path for path in context.params.get("specs") or ()] or [root / "specs"]
        return load(paths, root, check_paths=False).specs
    return []
