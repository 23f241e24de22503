"""Addresses as people type them: short forms made whole, and completed in the shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sagespec.errors import SagespecError, WorldError, did_you_mean

if TYPE_CHECKING:
    from sagespec.project import Project
    from sagespec.state import Address

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def known_addresses(project: Project) -> list[Address]:
    """Everything that may have printed something: in the specs, running, or in the store."""
    from sagespec.state import GATEWAY, endpoint_address

    known = {GATEWAY, *(container.address for container in project.runtime.containers())}
    known.update(project.records.all_jobs(), map(endpoint_address, project.records.endpoint_names()))
    with suppress(SagespecError):  # broken specs are no reason to hide the logs that may explain them
        known.update(item.address for item in project.load().specs)
    return sorted(known, key=lambda address: (address.whole, address.variant, address.instance or 0))


def resolve_address(text: str, known: Sequence[Address]) -> Address:
    """The address meant by `text`, which may leave out the kind and, of a job, the version (the newest then).

    A bare name that is both an endpoint's and a job's means the endpoint while that has containers. WorldError
    when nothing is near it.
    """
    exact = next((found for form in (text, f"endpoint/{text}", f"job/{text}") if (found := _find(form, known))), None)
    job_name = text.removeprefix("job/")
    jobs = [address.whole for address in known if (address.kind, address.name) == ("job", job_name)]
    if exact and (exact != exact.whole or exact.kind != "endpoint" or text == str(exact) or not jobs):
        return exact
    if exact and any(address.whole == exact and address.instance is not None for address in known):
        return exact
    if jobs:
        return max(jobs)
    forms = [form for address in known for form in (str(address), str(address).partition("/")[2], address.name) if form]
    raise WorldError(
        f"there is nothing named {text}",
        fix=did_you_mean(text, forms) or "see `sagespec status` for the jobs and endpoints there are",
    )


def _find(text: str, known: Sequence[Address]) -> Address | None:
    """The address written as `text`, if it is one and stands for something known."""
    from sagespec.state import Address

    try:
        address = Address.parse(text)
    except ValueError:
        return None
    forms = {form for one in known for form in (one, one.whole, replace(one, instance=None))}
    # A job's containers are gone when it has ended; its hosts may still be asked for.
    return address if address in forms or (address.kind == "job" and address.whole in forms) else None


def host_of(source: str) -> str:
    """What tells the containers of one address apart: algo-1 of a job, stable#0 of an endpoint.

    >>> host_of("job/churn@3#0"), host_of("endpoint/churn/stable#1"), host_of("algo-1")
    ('algo-1', 'stable#1', 'algo-1')
    """
    kind, _, rest = source.partition("/")
    if kind == "job":
        return f"algo-{int(rest.partition('#')[2] or 0) + 1}"
    return rest.partition("/")[2] or source


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


def complete_builtin(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """xgboost"""
    from sagespec.runtimes import images_dir

    names = sorted(file.parent.name for file in images_dir().glob("*/image.json"))
    return [name for name in names if name.startswith(incomplete)]


def _in_specs(context: click.Context) -> list[Address]:
    """The addresses the specs define; none where they cannot be read, as a completion is no place to complain."""
    from sagespec.load import find_root, load

    folder = context.params.get("folder") or Path.cwd()
    with suppress(SagespecError, OSError):
        root = find_root(folder)
        paths = [folder / path for path in context.params.get("specs") or ()] or [root / "specs"]
        return [item.address for item in load(paths, root, check_paths=False).specs]
    return []
