"""What specs are resolved against, gathered once, and the problems found on the way.

`resolve` makes it of its arguments; the files beside this one read it and add to `problems`, so that all of them are
reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sagespec.errors import Problem, WorldError
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.builtins import ImageDescription
from sagespec.state.addresses import Address
from sagespec.state.listing import Counted
from sagespec.state.manifest import JobStatus, Manifest

Fingerprint = Callable[[str], str]  # s3://… -> ETag or the like

Started = Callable[[Address], Mapping[str, Any]]
SecretVersion = Callable[[str], str]  # a secret's name -> what tells its value from others; '' where it was not asked


def not_asked(_name: str) -> str:
    """A `SecretVersion` that asks nobody."""
    return ""


@dataclass(frozen=True)
class Facts:
    """root: the project's folder. images: the built-ins by name. manifests: of the jobs that have ended.

    fingerprint: what tells two states of an s3:// object apart. started: the key fields of a job that was started and
    has not ended. specs: by address. known_secrets: the names that sagespec.yaml has.
    """

    root: Path
    images: Mapping[str, ImageDescription]
    manifests: Mapping[Address, Manifest]
    fingerprint: Fingerprint
    started: Started = lambda _: {}
    specs: Mapping[Address, LoadedSpec] = field(default_factory=dict)
    secret_version: SecretVersion = not_asked
    known_secrets: Collection[str] = ()
    problems: list[Problem] = field(default_factory=list)

    def counted(self, count: Callable[[], Counted], folder: Path, item: LoadedSpec, field: str) -> Counted:
        """What `count` finds in the user's folder that `field` names; what cannot be part of a program is a problem.
        A trained job is only told to differ."""
        try:
            return count()
        except WorldError as error:
            if self.trained(item.address):
                return Counted(f"unfit: {error.problems[0].what.replace(f'{folder}/', '')}")
            where = item.origin_of(field)
            self.problems.extend(replace(p, about=str(item.address), where=where) for p in error.problems)
            return Counted("unfit")

    def trained(self, job: Address) -> Manifest | None:
        """The manifest of the job, if it completed."""
        manifest = self.manifests.get(job)
        return manifest if manifest and manifest.status is JobStatus.COMPLETED else None
