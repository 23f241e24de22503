"""What is trained in the project whose models are copied here, of the jobs that are not trained yet.

An endpoint may name a version whose spec is gone by now: `bump` raises the version of the one spec that a job has.
"""

from __future__ import annotations

from collections.abc import Mapping

from sagespec.errors import SagespecError
from sagespec.load.loaded import Loaded
from sagespec.load.references import unresolved_models
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.hashes import UNTRAINED
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Elsewhere, Observed


def trained_elsewhere(parts: Parts, wanted: Desired, observed: Observed) -> Elsewhere:
    """Asks nobody where every job is trained here; an answer that does not come is no reason to fail."""
    manifests = observed.manifests
    named = {variant.job for endpoint in wanted.endpoints for variant in endpoint.variants if variant.job}
    missing = sorted(job for job in {job.address for job in wanted.jobs} | named if not _is_trained(job, manifests))
    try:
        records = parts.models_from if missing and wanted.models_from else None
        found = records.manifests(missing) if records else {}
    except SagespecError as error:
        return Elsewhere(why_unknown=error.problems[0].what)
    return Elsewhere({job: manifest for job, manifest in found.items() if _has_its_model(manifest)})


def without_spec(parts: Parts, loaded: Loaded, manifests: Mapping[Address, Manifest]) -> dict[Address, Manifest]:
    """The manifests of models that endpoints name, which no spec makes and this store does not have, but that one: as
    if they were not trained yet, so that no gate judges them before they are here."""
    if not (loaded.environment and loaded.environment.models_from):
        return {}
    missing = {job for _, job in unresolved_models(loaded) if not _is_trained(job, manifests)}
    if not missing or (records := parts.models_from) is None:
        return {}
    found = records.manifests(sorted(missing))
    return {job: _untrained(manifest) for job, manifest in found.items() if _has_its_model(manifest)}


def _untrained(manifest: Manifest) -> Manifest:
    artifacts = {name: one.model_copy(update={"sha256": UNTRAINED}) for name, one in manifest.artifacts.items()}
    return manifest.model_copy(update={"artifacts": artifacts})


def _is_trained(job: Address, manifests: Mapping[Address, Manifest]) -> bool:
    return job in manifests and manifests[job].status is JobStatus.COMPLETED


def _has_its_model(manifest: Manifest) -> bool:
    return manifest.status is JobStatus.COMPLETED and manifest.swept_at is None
