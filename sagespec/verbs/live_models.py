"""The manifests of what serves behind a gate: what a new model is compared with, though no spec may name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision


def with_live_models(parts: Parts, desired: Desired, observed: Observed) -> Observed:
    """The same, and those manifests that it lacks; nothing is read where no endpoint has a gate."""
    live = [live_revision(observed.revisions.get(e.name, ())) for e in desired.endpoints if e.gate]
    models = [variant.model for revision in live if revision for variant in revision.asked.variants]
    missing = {Address.parse(model.job) for model in models if model.job} - observed.manifests.keys()
    if not missing:
        return observed
    manifests: Mapping[Address, Manifest] = {**observed.manifests, **parts.records.manifests(missing)}
    return replace(observed, manifests=manifests)
