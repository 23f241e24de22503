"""What the files say, as values: specs with the place of every field."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
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

    folder: where its file is; relative paths in the spec start there. other_folders: of files from which it has fields,
    by their names in origins.
    """

    spec: Spec
    origin: Origin
    origins: Mapping[str, Origin]
    folder: Path
    other_folders: Mapping[str, Path] = field(default_factory=dict)

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

    def local_path(self, source: str, path: str = "") -> Path | None:
        """Where a path or file:// address points that is written at the field `path`; None for what is not local."""
        if source.startswith("s3://"):
            return None
        folder = self.other_folders.get(self.origin_of(path).file, self.folder) if self.other_folders else self.folder
        return Path(os.path.normpath(folder / source.removeprefix("file://")))


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
