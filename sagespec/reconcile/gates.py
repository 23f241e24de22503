"""Whether a model may have traffic, by what was measured when it was trained: the gate of an endpoint.

Asked by `goals` before an endpoint becomes what its spec says. What has traffic already is never judged: a gate stops
changes, and takes nothing down. `--retry` does not pass it; changing it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sagespec.errors import Problem
from sagespec.reconcile.given import Given
from sagespec.spec.gate import Gate
from sagespec.state.desired import DesiredEndpoint, DesiredModel, DesiredVariant, JobModel
from sagespec.state.hashes import UNTRAINED


@dataclass(frozen=True)
class _Measured:
    """The metric of one model. value: None where it was not measured, which `why` then says."""

    model: str
    value: float | None
    why: str = ""


def held_by_gate(desired: DesiredEndpoint, before: DesiredEndpoint | None, given: Given) -> Problem | None:
    """Why its spec is not put live: a model that gets traffic by it is not good enough. before: what is live."""
    gate = desired.gate
    if gate is None:
        return None
    live = _busiest(before)
    for variant in _newcomers(desired, before):
        if _can_be_judged(variant, live, given) and (objection := _objection(gate, variant.model, live, given)):
            return Problem(
                what=f"is held by its gate: variant {variant.name}, {objection}",
                about=str(desired.address),
                why="a model gets traffic only when it was measured and is good enough; what is live keeps serving",
                fix="train a better version, or change rollout.gate; --retry does not pass it",
                where=desired.origin,
            )
    return None


def notes_of_gate(desired: DesiredEndpoint, before: DesiredEndpoint | None, given: Given) -> tuple[str, ...]:
    """What the gate has yet to judge: a model that is to be trained, or whose metrics only the store knows."""
    if desired.gate is None:
        return ()
    live = _busiest(before)
    waiting = [variant for variant in _newcomers(desired, before) if not _can_be_judged(variant, live, given)]
    return tuple(
        f"{desired.address}: its gate judges {variant.model.text} by {desired.gate.metric} when it is applied"
        for variant in waiting
    )


def _can_be_judged(variant: DesiredVariant, live: DesiredModel | None, given: Given) -> bool:
    is_trained = not (isinstance(variant.model, JobModel) and variant.model.sha256 == UNTRAINED)
    models = [model for model in (variant.model, live) if isinstance(model, JobModel)]
    return is_trained and not any(model.job in given.observed.assumed for model in models)


def _newcomers(desired: DesiredEndpoint, before: DesiredEndpoint | None) -> list[DesiredVariant]:
    """The variants that get traffic with a model that has none now."""
    served = [_model_of(variant.model) for variant in before.variants if variant.weight > 0] if before else []
    return [v for v in desired.variants if v.weight > 0 and _model_of(v.model) not in served]


def _model_of(model: DesiredModel) -> tuple[str, str]:
    return model.identity, model.sha256 if isinstance(model, JobModel) else ""


def _busiest(before: DesiredEndpoint | None) -> DesiredModel | None:
    """The model that has most of the traffic; the first of equals."""
    variants = before.variants if before else ()
    return max(variants, key=lambda variant: variant.weight).model if variants else None


def _objection(gate: Gate, model: DesiredModel, live: DesiredModel | None, given: Given) -> str:
    found = _measured(gate.metric, model, given)
    if found.value is None:
        return f"{found.model}: {found.why}"
    shown = f"{found.model}: {gate.metric} {found.value:g}"
    if said := gate.objection(found.value):
        return f"{shown} {said}"
    if live is None or gate.worse_than_live_by_at_most is None:
        return ""
    beside = _measured(gate.metric, live, given)
    if beside.value is None:
        return f"{shown} cannot be compared with {beside.model}, which is live: {beside.why}"
    if not gate.is_too_much_worse(found.value, beside.value):
        return ""
    allowed = f"it may be worse by at most {gate.worse_than_live_by_at_most:g}"
    return f"{shown} is worse than {beside.value:g} of {beside.model}, which is live; {allowed}"


def _measured(metric: str, model: DesiredModel, given: Given) -> _Measured:
    if not isinstance(model, JobModel):
        return _Measured(model.text, None, why="no job here trained it, so nothing was measured")
    metrics = given.metrics_of(model.job, model.sha256)
    if metrics is None:
        return _Measured(model.text, None, why="its manifest is not in the store")
    if metric not in metrics:
        others = ", ".join(sorted(metrics)) or "nothing"
        return _Measured(model.text, None, why=f"{metric} was not measured; it measured {others}")
    return _Measured(model.text, metrics[metric])
