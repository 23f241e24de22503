"""Training jobs by the names that clients gave them, for logs and metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from sagespec.api.named import NamedJob
from sagespec.api.sagemaker.arns import records_of
from sagespec.api.sagemaker.by_specs import job_of_specs, jobs_of_specs
from sagespec.api.sagemaker.records import KeptJob
from sagespec.api.service import Service
from sagespec.state.addresses import Address


def job_named(service: Service, name: str) -> NamedJob | None:
    """None where there is none, and for one that never came to be a job: its spec was refused."""
    kept = records_of(service).read(KeptJob, name) or job_of_specs(service, name)
    return _named(name, kept) if kept and kept.address else None


def jobs_named(service: Service, prefix: str) -> list[NamedJob]:
    """Those whose names begin so, sorted by name."""
    kept = records_of(service).all(KeptJob)
    kept |= jobs_of_specs(service, kept)
    return [_named(name, one) for name, one in sorted(kept.items()) if name.startswith(prefix) and one.address]


def _named(name: str, kept: KeptJob) -> NamedJob:
    hosts = int(kept.document.get("instances", 1))
    return NamedJob(name, Address.parse(kept.address), datetime.fromtimestamp(kept.created_at, UTC), hosts)
