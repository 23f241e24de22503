"""The models of a project, version by version: what git says of them, and what the store has.

Git has the Model documents: aliases, what is rejected, what is protected. The store has what was trained. Takes the
specs, one listing of jobs and one read of their manifests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.parts import Parts
from sagespec.spec.model import Model
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import JobStatus, Manifest

Manifests = Mapping[Address, Manifest]


@dataclass(frozen=True)
class VersionState:
    """One version. rejected: why it is not to be used, '' where it may be. manifest: None where it was never trained,
    although a Model document names it."""

    job: Address
    aliases: tuple[str, ...] = ()
    rejected: str = ""
    is_protected: bool = False
    manifest: Manifest | None = None

    def as_json(self) -> dict[str, Any]:
        manifest = self.manifest
        swept_at = manifest.swept_at if manifest else None
        return {
            "version": self.job.version,
            "job": str(self.job),
            "aliases": list(self.aliases),
            "rejected": self.rejected,
            "protected": self.is_protected,
            "trained_at": manifest.ended_at.isoformat() if manifest else None,
            "swept_at": swept_at.isoformat() if swept_at else None,
            "metrics": dict(manifest.metrics) if manifest else {},
        }


@dataclass(frozen=True)
class ModelState:
    """One model and its versions, the newest first."""

    name: str
    versions: tuple[VersionState, ...]

    @property
    def aliases(self) -> Mapping[str, int]:
        return {alias: one.job.version or 0 for one in self.versions for alias in one.aliases}

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/registry.md."""
        return {
            "name": self.name,
            "aliases": dict(self.aliases),
            "versions": [one.as_json() for one in self.versions],
        }


def models(parts: Parts) -> tuple[ModelState, ...]:
    """SpecError where the specs are wrong: their Model documents are part of it."""
    registry = parts.load().registry
    trained = parts.records.manifests(parts.records.all_jobs())
    return models_of(registry, {job: one for job, one in trained.items() if one.status is JobStatus.COMPLETED})


def models_of(registry: Sequence[Model], trained: Manifests) -> tuple[ModelState, ...]:
    """trained: what has left a model, swept or not. By name."""
    written = {model.name: model for model in registry}
    names = sorted({*written, *(job.name for job in trained)})
    return tuple(ModelState(name, tuple(_versions(name, written.get(name), trained))) for name in names)


def _versions(name: str, model: Model | None, trained: Manifests) -> Iterable[VersionState]:
    numbers = {job.version or 0 for job in trained if job.name == name}
    rejected = {int(text.rpartition("@")[2]): why for text, why in model.rejected.items()} if model else {}
    protected = set(model.protect) if model else set()
    aliases: dict[int, list[str]] = {}
    for alias, version in model.aliases.items() if model else ():
        aliases.setdefault(version, []).append(alias)
    for number in sorted({*numbers, *rejected, *protected, *aliases}, reverse=True):
        job = job_address(name, number)
        names = tuple(sorted(aliases.get(number, ())))
        yield VersionState(job, names, rejected.get(number, ""), number in protected, trained.get(job))
