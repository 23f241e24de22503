"""The Notebook document: a JupyterLab that runs while its spec says so.

`load` builds it from YAML, `resolve` turns it into a DesiredNotebook; the schema and docs/spec.md come from its fields.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sagespec.spec.document import DocumentSpec, Update
from sagespec.spec.job import Resources
from sagespec.spec.secrets import ServingValue
from sagespec.spec.values import (
    NO_OTHER_NAMES,
    EnvironmentName,
    ImageName,
    Name,
    Seconds,
    Source,
    wrong,
)

SHORTEST_IDLE_SECONDS = 5.0

Package = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][ -~]*$")]


class Notebook(DocumentSpec):
    """A JupyterLab on this machine, for its owner alone: its folder stays, all else is made again at each start."""

    kind: Literal["Notebook"] = Field(examples=["Notebook"])
    """What this document describes."""
    name: Annotated[Name, Update.REPLACE] = Field(examples=["work"])
    """The name in `sagespec restart notebook/<name>`."""
    folder: Annotated[Source | None, Update.REPLACE] = Field(default=None, examples=["../notebooks"])
    """The folder that it opens, relative to the spec's file. Default: the project's folder."""
    running: Annotated[bool, Update.NONE] = True
    """Whether it runs; `false` stops it, and keeps its folder."""
    idle: Annotated[Seconds, Update.REPLACE] = 3600.0
    """It stops once no kernel or terminal has been busy and nobody connected for so long; 0 never. A training job is no
    activity: it runs in containers of its own."""
    on_start: Annotated[Source | None, Update.REPLACE] = None
    """A shell script, relative to the spec's file, that is run before each start; it may take 5 minutes."""
    packages: Annotated[tuple[Package, ...], Field(strict=False, max_length=100), Update.REPLACE] = ()
    """What pip installs before the first start and keeps, e.g. `pandas>=2`."""
    image: Annotated[ImageName | None, Update.REPLACE] = None
    """A container image that has JupyterLab, in place of ours. Needs Docker."""
    environment: Annotated[dict[EnvironmentName, ServingValue], Update.REPLACE] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Environment variables for its kernels and terminals: text, or {secret: NAME} of a secret in sagespec.yaml."""
    resources: Annotated[Resources, Update.REPLACE] = Resources()
    """Limits for all of it together."""

    @model_validator(mode="after")
    def _folders_are_here(self) -> Notebook:
        for name in ("folder", "on_start"):
            if (getattr(self, name) or "").startswith("s3://"):
                raise wrong("is not on this machine", "name a path relative to the spec's file", at=(name,))
        if 0 < self.idle < SHORTEST_IDLE_SECONDS:
            fix = f"write at least {SHORTEST_IDLE_SECONDS:g}s, or 0 for never"
            raise wrong("would stop it before anybody can open it", fix, at=("idle",))
        return self
