"""Gives a trained model to a variant of an endpoint, in the endpoint's spec: a change for a commit.

Whether it may have traffic is decided where the commit is applied, by the endpoint's gate.
"""

from __future__ import annotations

from dataclasses import replace

from sagespec.documents.edit import Edit
from sagespec.errors import SpecError, WorldError, did_you_mean
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.parts import Parts
from sagespec.spec.endpoint import Endpoint, named_job
from sagespec.verbs.addresses import with_variant
from sagespec.verbs.written import Written, no_effect, specs_as_written, write_settings


def assign_model(
    parts: Parts, model: str, to: str, weight: float | None = None, reason: str = "", *, is_alone: bool = False
) -> Written:
    """model: churn@4. to: churn/candidate, a variant that is added where there is none. weight: None leaves it.
    is_alone: in a tree of its own."""
    model = model.removeprefix("job/")
    if not named_job(model):
        raise WorldError(f"{model} does not name a model", fix="write job@version, e.g. churn@4")
    endpoint_name, variant = with_variant(to)
    item, spec = endpoint_in_specs(specs_as_written(parts), endpoint_name.removeprefix("endpoint/"))
    if not variant:
        names = ", ".join(f"{spec.name}/{one.name}" for one in spec.variants)
        raise WorldError(f"{to} names no variant", fix=f"name one, e.g. {names}")
    edits = _edits(spec, variant, model, weight)

    def has_it(loaded: Loaded) -> bool:
        _, effective = endpoint_in_specs(loaded, spec.name)
        there = next((one for one in effective.variants if one.name == variant), None)
        return there is not None and there.model == model and weight in (None, there.weight)

    if not edits and not has_it(parts.load()):
        raise no_effect(parts)
    if not edits:
        raise SpecError(f"{spec.name}/{variant} has {model} already", fix="there is nothing to do")
    written = write_settings(parts, item, edits, comes_true=has_it, is_alone=is_alone)
    return replace(written, message=f"serve {model} by {spec.name}/{variant}" + (f": {reason}" if reason else ""))


def endpoint_in_specs(loaded: Loaded, name: str) -> tuple[LoadedSpec, Endpoint]:
    for item in loaded.specs:
        if isinstance(item.spec, Endpoint) and item.spec.name == name:
            return item, item.spec
    names = {item.address.name for item in loaded.specs if item.address.kind == "endpoint"}
    fix = did_you_mean(name, names) or (f"the specs have {', '.join(sorted(names))}" if names else "")
    raise WorldError(f"no spec describes an endpoint {name}", fix=fix or "write one first")


def _edits(spec: Endpoint, variant: str, model: str, weight: float | None) -> list[Edit]:
    number = next((n for n, one in enumerate(spec.variants) if one.name == variant), None)
    given = None if weight is None else int(weight) if weight == int(weight) else weight
    if number is None:
        new = {"name": variant, "model": model} | ({} if given is None else {"weight": given})
        return [Edit(("variants", len(spec.variants)), new)]
    there = spec.variants[number]
    edits = [Edit(("variants", number, "model"), model)] if there.model != model else []
    if given is not None and there.weight != given:
        edits.append(Edit(("variants", number, "weight"), given))
    return edits
