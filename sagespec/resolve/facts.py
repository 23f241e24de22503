"""What specs are resolved against, gathered once, and the problems found on the way.

`resolve` makes it of its arguments; the files beside this one read it and add to `problems`, so that all of them are
reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.errors import Problem
from sagespec.resolve.builtins import ImageDescription
from sagespec.state.addresses import Address
from sagespec.state.manifest import JobStatus, Manifest

Fingerprint = Callable[[str], str]  # s3://… -> ETag or the like

Started = Callable[[Address], Mapping[str, Any]]


@dataclass(frozen=True)
class Facts:
    """root: the project's folder. images: the built-ins by name. manifests: of the jobs that have ended.

    fingerprint: what tells two states of an s3:// object apart. started: the key fields of a job that was started and
    has not ended.
    """

    root: Path
    images: Mapping[str, ImageDescription]
    manifests: Mapping[Address, Manifest]
    fingerprint: Fingerprint
    started: Started = lambda _: {}
    problems: list[Problem] = field(default_factory=list)

    def trained(self, job: Address) -> Manifest | None:
        """The manifest of the job, if it completed."""
        manifest = self.manifests.get(job)
        return manifest if manifest and manifest.status is JobStatus.COMPLETED else None
