"""Starts a job's containers: data, code, checkpoints and SageMaker's files in, then the program."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from sagespec.runtimes.protocol import Runtime
from sagespec.state.manifest import Git, Input

STARTED_FILE = "input/config/sagespec.json"  # beside SageMaker's own: what the manifest must still know at the end


MAX_CODE_BYTES = 2 * 2**30  # an unpacked sourcedir.tar.gz larger than this is taken for a bomb


class Started(BaseModel):
    """Facts of a job's start that its end needs, kept in the first container so that they outlive this process."""

    started_at: datetime
    image_digest: str
    inputs: dict[str, Input]
    git: Git | None
    downloading_seconds: float
    attempt: int = 1

    @property
    def training_from(self) -> float:
        """When the program was started, in seconds since 1970."""
        return self.started_at.timestamp() + self.downloading_seconds


def began_at(runtime: Runtime, container_name: str) -> float | None:
    """When the job of this container began, in seconds since 1970, as its manifest will say; None while its data are
    still fetched."""
    content = runtime.read(container_name, STARTED_FILE)
    return Started.model_validate_json(content).started_at.timestamp() if content else None
