"""What the shell completes: addresses, variants, revisions and built-ins, from the specs and the store.

A store that does not answer at once is done without: nobody waits for a completion.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from sagespec.errors import SagespecError

if TYPE_CHECKING:
    from sagespec.load.loaded import LoadedSpec
    from sagespec.records.records import Records
    from sagespec.state.addresses import Address
    from sagespec.state.revision import Revision


STORE_SECONDS = 1.5  # until its answer is not waited for any more

Found = TypeVar("Found")


def complete_address(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn@3, churn; job/churn@3, endpoint/churn once the kind is typed"""
    addresses = _known(context)
    short = [str(address).partition("/")[2] for address in addresses]
    return [text for text in (*dict.fromkeys(short), *map(str, addresses)) if text.startswith(incomplete)]


def complete_job(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn@3, job/churn@3"""
    jobs = [str(address) for address in _known(context) if address.kind == "job"]
    return [text for text in (*(job.partition("/")[2] for job in jobs), *jobs) if text.startswith(incomplete)]


def complete_revision(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """4, of the endpoint that stands before it: the newest first, each with its models"""
    from sagespec.state.revision import live_revision
    from sagespec.verbs.rollback import rollback_targets

    nothing: tuple[Revision, ...] = ()
    history = _recorded(context, lambda records: records.history(_typed_endpoint(context)), nothing)
    live = live_revision(history)
    targets = rollback_targets(history, live) if live else []
    return [
        CompletionItem(str(revision.number), help=", ".join(v.model.text for v in revision.asked.variants))
        for revision in reversed(targets)
        if str(revision.number).startswith(incomplete)
    ]


def complete_endpoint(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn"""
    names = [address.name for address in _in_specs(context) if address.kind == "endpoint"]
    return [name for name in names if name.startswith(incomplete)]


def complete_rolled_out(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn, or endpoint/churn"""
    prefix = "endpoint/" if incomplete.startswith("endpoint/") else ""
    return [prefix + name for name in complete_endpoint(context, parameter, incomplete.removeprefix(prefix))]


def complete_variant(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """candidate, of the endpoint that stands before it"""
    from sagespec.spec.endpoint import Endpoint

    name = _typed_endpoint(context)
    specs = [item.spec for item in _specs(context) if item.address.kind == "endpoint" and item.address.name == name]
    names = [variant.name for spec in specs if isinstance(spec, Endpoint) for variant in spec.variants]
    return [name for name in names if name.startswith(incomplete)]


def complete_caller(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """shop"""
    from sagespec.load.load import find_root, load

    with suppress(SagespecError, OSError):
        root, environment = find_root(_folder(context)), _environment(context)
        callers = load([], root, environment=environment, check_paths=False).project.gateway.callers
        return [name for name in callers if name.startswith(incomplete)]
    return []


def complete_restartable(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn, notebook/work, gateway"""
    names = complete_endpoint(context, parameter, incomplete)
    notebooks = (str(address) for address in _in_specs(context) if address.kind == "notebook")
    names += [name for name in notebooks if name.startswith(incomplete)]
    return names + ["gateway"] * "gateway".startswith(incomplete)


def complete_environment(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """prod"""
    from sagespec.load.environments import environment_files
    from sagespec.load.load import find_root

    with suppress(SagespecError, OSError):
        return [name for name in environment_files(find_root(_folder(context))) if name.startswith(incomplete)]
    return []


def complete_spec(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """churn, job/churn@3, project"""
    names = [str(address) for address in _in_specs(context)]
    names += [name.partition("/")[2] for name in names if not name.startswith("notebook/")] + ["project"]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def complete_builtin(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """xgboost"""
    from sagespec.runtimes.choose import images_dir

    names = sorted(file.parent.name for file in images_dir().glob("*/image.json"))
    return [name for name in names if name.startswith(incomplete)]


def _typed_endpoint(context: click.Context) -> str:
    """What stands before an option that lacks its value: click has not parsed it."""
    typed = [word for word in context.args if not word.startswith("-")]
    return typed[0].removeprefix("endpoint/") if typed else ""


def _in_specs(context: click.Context) -> list[Address]:
    return [item.address for item in _specs(context)]


def _known(context: click.Context) -> list[Address]:
    """Those of the specs, then those that only the store knows."""
    from sagespec.state.addresses import endpoint_address

    written = _in_specs(context)

    def ask(records: Records) -> list[Address]:
        return [*records.all_jobs(), *map(endpoint_address, records.endpoint_names())]

    kept: list[Address] = _recorded(context, ask, [])
    return [*written, *(address for address in kept if address not in written)]


def _specs(context: click.Context) -> Sequence[LoadedSpec]:
    """None where they cannot be read, as a completion is no place to complain."""
    from sagespec.load.load import find_root, load, specs_of

    folder, environment = _folder(context), _environment(context)
    with suppress(SagespecError, OSError):
        root = find_root(folder)
        given = [folder / path for path in context.params.get("specs") or ()]
        paths = given or specs_of(root, environment)
        return load(paths, root, environment=environment, check_paths=False).specs
    return []


def _environment(context: click.Context) -> str:
    return context.params.get("environment") or os.environ.get("SAGESPEC_ENV", "")


def _folder(context: click.Context) -> Path:
    return context.params.get("folder") or Path.cwd()


def _recorded(context: click.Context, ask: Callable[[Records], Found], nothing: Found) -> Found:
    """What the store answers; `nothing` where it does not, or not at once."""
    answers = [nothing]

    def look() -> None:
        from sagespec.load.load import find_root, load
        from sagespec.records.records import Records
        from sagespec.stores.open import open_store

        with suppress(SagespecError, OSError):
            root = find_root(_folder(context))
            settings = load([], root, environment=_environment(context), check_paths=False).project
            answers.append(ask(Records(open_store(settings.store, root=root, create=False), settings.name)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(STORE_SECONDS)
    return answers[-1]
