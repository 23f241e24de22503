"""Which variants lend their share, as far as a snapshot tells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sagespec.state.observed import Route
from sagespec.verbs.states import VariantState


def with_lent(variants: Sequence[VariantState], route: Route | None) -> tuple[VariantState, ...]:
    """Each variant with those that answer in its place. What the gateway does, it decides itself, by its probes."""
    if route is None or not route.lends:
        return tuple(variants)
    able = [variant.name for variant in variants if variant.share_live and variant.instances_healthy]
    return tuple(
        replace(variant, lends_to=tuple(able)) if variant.share_live and not variant.instances_healthy else variant
        for variant in variants
    )


def lent_text(variants: Sequence[VariantState]) -> str:
    return "; ".join(f"{v.name} lends its share to {' and '.join(v.lends_to)}" for v in variants if v.lends_to)
