"""What a look deeper than a plan's finds changed behind our back: limits of containers, and models in the store.

It takes a question to the engine for each container, and reads every model from the store.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping

from sagespec.errors import Problem
from sagespec.parts import Parts
from sagespec.records.records import Records
from sagespec.state.addresses import Address
from sagespec.state.manifest import Artifact, JobStatus, Manifest
from sagespec.state.observed import Container
from sagespec.stores.protocol import Conflict, Entry, Store

PART_BYTES = 16 * 2**20
Limits = tuple[float | None, int | None]  # CPUs and bytes of memory; None for no limit
_SWEPT = frozenset({"model", "output"})  # what `gc` deletes of a job


def damage(parts: Parts) -> tuple[Problem, ...]:
    """Of each container and each trained job of the project, sorted."""
    return (*changed_limits(parts), *damaged_models(parts.records))


def changed_limits(parts: Parts) -> Iterator[Problem]:
    found = parts.runtime.look([container.name for container in parts.runtime.containers()])
    for container in (one for one in found.values() if one):
        limits, given = container.limits, (container.cpus, container.memory)
        if limits is not None and not _is_same(limits, given):
            yield Problem(
                f"its limits are {_limits_text(*limits)}, and it was given {_limits_text(*given)}",
                about=str(container.address),
                why="somebody has changed them on the engine, as `docker update` does",
                fix=_fix(container),
            )


def _is_same(limits: Limits, given: Limits) -> bool:
    """The engine counts CPUs in billionths, and a label has six digits of them.

    >>> _is_same((4.099999999, None), (4.1, None)), _is_same((4.2, None), (4.1, None)), _is_same((None, 1), (1.0, 1))
    (True, False, False)
    """
    (cpus, memory), (cpus_given, memory_given) = limits, given
    return memory == memory_given and math.isclose(cpus or 0, cpus_given or 0, rel_tol=1e-5)


def _fix(container: Container) -> str:
    if container.address.kind == "job":
        return "none: it runs like that to its end"
    return f"`sagespec restart {container.address.whole}` replaces it"


def _limits_text(cpus: float | None, memory: int | None) -> str:
    """
    >>> _limits_text(0.5, 2**30), _limits_text(None, None)
    ('0.5 CPUs and 1024 MiB', 'no CPU limit and no memory limit')
    """
    said = "no CPU limit" if cpus is None else f"{cpus:g} CPUs"
    return f"{said} and {'no memory limit' if memory is None else f'{memory / 2**20:.0f} MiB'}"


def damaged_models(records: Records) -> Iterator[Problem]:
    """What the store has of trained jobs, compared with their records: what is missing, is larger or smaller, or has
    another checksum."""
    manifests = records.manifests(records.all_jobs())  # before the files: a job that ends stores its manifest last
    there = _entries(records, f"{records.project_name}/jobs/")
    for job, manifest in sorted(manifests.items()):
        found = list(_damage_of(job, manifest, records, there))
        now = records.manifests([job]).get(job) if found else manifest
        if now != manifest:  # `gc` has swept it meanwhile, or it was trained again
            found = list(_damage_of(job, now, records, _entries(records, records.job_key(job, "")))) if now else []
        yield from found


def _entries(records: Records, prefix: str) -> Mapping[str, Entry]:
    return {entry.key: entry for entry in records.store.entries(prefix)}


def _damage_of(job: Address, manifest: Manifest, records: Records, there: Mapping[str, Entry]) -> Iterator[Problem]:
    for artifact in _kept(manifest):
        if what := _what_is_wrong(artifact, records.store, there.get(records.job_key(job, artifact.key))):
            yield _problem(job, manifest, f"{artifact.key} {what}")


def _kept(manifest: Manifest) -> Iterator[Artifact]:
    if manifest.status is JobStatus.COMPLETED:
        kept: Mapping[str, Artifact] = manifest.artifacts
        yield from (kept[name] for name in sorted(kept) if not (manifest.swept_at and name in _SWEPT))


def _what_is_wrong(artifact: Artifact, store: Store, entry: Entry | None) -> str:
    if entry is None:
        return f"is gone from {store.uri}"
    if entry.size != artifact.size:
        return f"has {entry.size:,} bytes, and had {artifact.size:,} when it was stored"
    try:
        is_same = _sha256(store, entry) == artifact.sha256
    except Conflict:
        return "was changed or removed while it was read"
    return "" if is_same else "is not what was stored: its checksum is another"


def _sha256(store: Store, entry: Entry) -> str:
    digest = hashlib.sha256()
    for start in range(0, entry.size, PART_BYTES):
        size = min(PART_BYTES, entry.size - start)
        digest.update(store.read_part(entry.key, start, size, if_match=entry.etag))
    return digest.hexdigest()


def _problem(job: Address, manifest: Manifest, what: str) -> Problem:
    origin = manifest.promoted_from
    place = f"{origin.store}, where {origin.project} has trained it" if origin else "a copy of the store"
    return Problem(
        what,
        about=str(job),
        why="what serves already has its own copy, but no other instance can be started",
        fix=f"restore it from {place}; or train another version, and have it served",
    )
