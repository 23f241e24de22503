"""What the files say, as values: specs with the place of every field."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sagespec.errors import Origin
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from sagespec.spec.kinds import Spec
from sagespec.spec.project import ProjectSettings
from sagespec.state.addresses import Address, endpoint_address, job_address

PROJECT_FILE = "sagespec.yaml"


@dataclass(frozen=True)
class LoadedSpec:
    """One document. `origin` is its first line; `origins` maps field paths ("variants.0.model") to places.

    folder: where its file is; relative paths in the spec start there.
    """

    spec: Spec
    origin: Origin
    origins: Mapping[str, Origin]
    folder: Path

    @property
    def address(self) -> Address:
        match self.spec:
            case TrainingJob() as job:
                return job_address(job.name, job.version)
            case Endpoint() as endpoint:
                return endpoint_address(endpoint.name)

    def origin_of(self, path: str) -> Origin:
        """The place of a field, or of the nearest one around it that is written."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, self.origin)

    def local_path(self, source: str) -> Path | None:
        """Where a path or file:// address in this spec points; None for what is not local (s3://…)."""
        if source.startswith("s3://"):
            return None
        return Path(os.path.normpath(self.folder / source.removeprefix("file://")))


@dataclass(frozen=True)
class Loaded:
    """What all files say: the project's settings, and the specs sorted by file and place.

    File names, in `files` as in origins, are relative to `root`, or absolute outside it.
    """

    root: Path
    project: ProjectSettings
    project_origins: Mapping[str, Origin]
    specs: tuple[LoadedSpec, ...] = ()
    files: tuple[str, ...] = ()
