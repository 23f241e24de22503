"""Which trained jobs are stale: their data, or the image that they were trained with, have moved on since. That is
told, and nothing is done about it: a version is what it was trained with.

`plan`, `status` and the figures for Prometheus ask for it, `drift` with data in S3, too, which have to be listed.
"""

from __future__ import annotations

from sagespec.ongoing import Stale
from sagespec.parts import Parts
from sagespec.runtimes.protocol import Runtime
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import Observed
from sagespec.state.programs import Image
from sagespec.verbs.edited import DataNow


def stale_jobs(parts: Parts, desired: Desired, observed: Observed, data: DataNow | None = None) -> tuple[Stale, ...]:
    """Those in the specs, sorted. data: as it is looked at; None for what is on this machine alone."""
    data = data or DataNow(parts.root)
    found = (stale_job(job, observed.manifests.get(job.address), data, parts.runtime) for job in desired.jobs)
    return tuple(sorted((one for one in found if one), key=lambda one: one.about))


def stale_job(job: DesiredJob, manifest: Manifest | None, data: DataNow, runtime: Runtime) -> Stale | None:
    """None for one that is as it was trained, is not trained, or has another spec by now."""
    if manifest is None or manifest.status is not JobStatus.COMPLETED or not same_hash(job.key, manifest.key):
        return None
    channels, image = tuple(data.other_than(job, manifest)), _moved_image(job, manifest, data, runtime)
    return Stale(job.address, channels, image) if channels or image else None


def _moved_image(job: DesiredJob, manifest: Manifest, data: DataNow, runtime: Runtime) -> str:
    """The tag of its image, where the engine has another one by it now; the registry is not asked."""
    if not isinstance(job.program, Image) or not (before := manifest.images.get(job.program.reference)):
        return ""
    now = data.digests_of(job.program, runtime)  # more than one: a registry has it, too, since it was pushed
    return job.program.reference if now and before not in now else ""
