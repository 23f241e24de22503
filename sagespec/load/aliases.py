"""`model: churn@champion` to the version that the Model document gives the alias, and what is wrong with those that it
gives none.

Called by `load` once all documents are read: whatever reads the specs afterwards sees versions alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sagespec.errors import Problem, did_you_mean
from sagespec.load.loaded import LoadedSpec
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.model import Model, named_alias


def with_versions(specs: Sequence[LoadedSpec]) -> tuple[list[LoadedSpec], tuple[LoadedSpec, ...], list[Problem]]:
    """The specs with versions for aliases; the Model documents, which are none of them; and the problems."""
    models = tuple(item for item in specs if isinstance(item.spec, Model))
    found: dict[str, Model] = {}
    for item in models:
        if isinstance(item.spec, Model):
            found.setdefault(item.spec.name, item.spec)  # `clashes` reports the others
    problems: list[Problem] = []
    rest = [_resolved(item, found, problems) for item in specs if not isinstance(item.spec, Model)]
    return rest, models, problems


def _resolved(item: LoadedSpec, models: Mapping[str, Model], problems: list[Problem]) -> LoadedSpec:
    if not isinstance(item.spec, Endpoint):
        return item
    variants, aliases = list(item.spec.variants), {}
    for index, variant in enumerate(variants):
        if (named := named_alias(variant.model)) is None:
            continue
        name, alias = named
        field = f"variants.{index}.model"
        version = models[name].aliases.get(alias) if name in models else None
        if version is None:
            problems.append(_unknown(item, field, named, models))
        else:
            variants[index] = variant.model_copy(update={"model": f"{name}@{version}"})
            aliases[field] = alias
    if not aliases:
        return item
    return replace(item, spec=item.spec.model_copy(update={"variants": tuple(variants)}), aliases=aliases)


def _unknown(item: LoadedSpec, field: str, named: tuple[str, str], models: Mapping[str, Model]) -> Problem:
    name, alias = named
    model = models.get(name)
    known = ", ".join(model.aliases) if model else ""
    if model:
        why = f"the Model {name} has the aliases {known}" if known else f"the Model {name} has no aliases"
        fix = did_you_mean(alias, model.aliases) or f"give it a version there: aliases: {{{alias}: 1}}"
    else:
        why = f"no Model named {name} is in the specs"
        fix = did_you_mean(name, models) or f"name a version, {name}@1, or add kind: Model, name: {name} with aliases"
    return Problem(
        f"{field} is {name}@{alias}, and {alias} is no version",
        about=str(item.address),
        why=why,
        fix=fix,
        where=item.origin_of(field),
    )
