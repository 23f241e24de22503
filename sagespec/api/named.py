"""A training job by the name that SageMaker's clients gave it, as logs and metrics need it.

`sagemaker.names` finds them: `job_named(service, name)` the one of that name, or None; `jobs_named(service, prefix)`
those whose names begin so, sorted by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sagespec.state.addresses import Address


@dataclass(frozen=True)
class NamedJob:
    """name: TrainingJobName. hosts: its InstanceCount. created_at: when it was asked for."""

    name: str
    address: Address
    created_at: datetime
    hosts: int = 1
