"""What the files say, as values: specs with the place of every field."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.errors import Origin
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.environment import Environment
from sagespec.spec.job import TrainingJob
from sagespec.spec.kinds import Spec
from sagespec.spec.model import Model
from sagespec.spec.notebook import Notebook
from sagespec.spec.project import ProjectSettings
from sagespec.state.addresses import Address, endpoint_address, job_address, notebook_address, registry_address

PROJECT_FILE = "sagespec.yaml"


@dataclass(frozen=True)
class Written:
    """The YAML of a document as plain data, put together if several files say it; and what the environment takes away
    of it, by path, where that is said."""

    data: Mapping[str, Any] = field(default_factory=dict)
    taken_away: Mapping[str, Origin] = field(default_factory=dict)


NOTHING_WRITTEN = Written()


@dataclass(frozen=True)
class LoadedSpec:
    """One document. `origin` is its first line; `origins` maps field paths ("variants.0.model") to places.

    folder: where its file is; relative paths in the spec start there. other_folders: of files from which it has fields,
    by their names in origins. like: the job that it is like; own: then the places of what it says itself. patched_in:
    the file of the environment that changes it, as origins name it; '' for none. written: its YAML. aliases: what
    stands in the file for a version, by field.
    """

    spec: Spec
    origin: Origin
    origins: Mapping[str, Origin]
    folder: Path
    other_folders: Mapping[str, Path] = field(default_factory=dict)
    like: str = ""
    own: Mapping[str, Origin] = field(default_factory=dict)
    patched_in: str = ""
    written: Written = field(default=NOTHING_WRITTEN, compare=False, repr=False)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        match self.spec:
            case TrainingJob() as job:
                return job_address(job.name, job.version)
            case Endpoint() as endpoint:
                return endpoint_address(endpoint.name)
            case Notebook() as notebook:
                return notebook_address(notebook.name)
            case Model() as model:
                return registry_address(model.name)

    def origin_of(self, path: str) -> Origin:
        """The place of a field, or of the nearest one around it that is written."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, self.origin)

    def inherits(self, path: str) -> bool:
        """Whether it has the field from the job that it is like."""
        place = self.origin_of(path)
        is_own = place == self.origin or place.file == self.patched_in or place in self.own.values()
        return bool(self.like) and not is_own

    def own_place(self, path: str) -> Origin:
        """Where it can say something else of a field: the nearest place that is its own."""
        if not self.like or self.origin_of(path).file == self.patched_in:
            return self.origin_of(path)
        while path and path not in self.own:
            path = path.rpartition(".")[0]
        return next((self.own[name] for name in (path, "algorithm", "like") if name in self.own), self.origin)

    def local_path(self, source: str, path: str = "") -> Path | None:
        """Where a path or file:// address points that is written at the field `path`; None for what is not local."""
        if source.startswith(("s3://", "store://")):
            return None
        folder = self.other_folders.get(self.origin_of(path).file, self.folder) if self.other_folders else self.folder
        return Path(os.path.normpath(folder / source.removeprefix("file://")))


@dataclass(frozen=True)
class Loaded:
    """What all files say: the project's settings, the specs sorted by file and place, and the Model documents.

    File names, in `files` as in origins, are relative to `root`, or absolute outside it. environment: which one it is.
    written: the YAML of the settings.
    """

    root: Path
    project: ProjectSettings
    project_origins: Mapping[str, Origin]
    specs: tuple[LoadedSpec, ...] = ()
    files: tuple[str, ...] = ()
    environment: Environment | None = None
    written: Written = field(default=NOTHING_WRITTEN, compare=False, repr=False)
    models: tuple[LoadedSpec, ...] = ()

    @property
    def registry(self) -> tuple[Model, ...]:
        return tuple(item.spec for item in self.models if isinstance(item.spec, Model))

    @property
    def rejected(self) -> Mapping[Address, str]:
        """The versions that are not to be used, with the reasons."""
        rejected = (pair for model in self.registry for pair in model.rejected.items())
        return {Address.parse(f"job/{name}"): reason for name, reason in rejected}
