"""What every operation acts on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sagespec.api.changes import Changes
from sagespec.api.logs.book import Books
from sagespec.api.sagemaker.memory import Memory
from sagespec.project import Project
from sagespec.spec.project import ApiSettings
from sagespec.web.snapshots import Snapshots

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = "sagespec"
# As SDKs and notebooks of AWS's own call it where nobody has said another name.
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"

Request = Mapping[str, Any]
Result = Mapping[str, Any]
# The request has been held against AWS's model of the operation: required members are there, and types are right.
# Times in it are seconds since 1970. Of the result, what is None or is not in the model is left out; times in it may be
# datetimes or seconds. What is raised: ApiError.
Operation = Callable[["Service", Request], Result]


@dataclass(frozen=True)
class Service:
    """One project, as the control plane shows it.

    snapshots: one look for all who ask within a moment. changes: told of everything that happens. read_only: nothing
    may be created or changed.
    """

    project: Project
    snapshots: Snapshots
    changes: Changes = field(default_factory=Changes)
    wake: Callable[[], None] = lambda: None  # the loop looks at once
    read_only: bool = False
    region: str = REGION
    account: str = ACCOUNT
    folder: Path | None = None
    memory: Memory = field(default_factory=Memory)

    @cached_property
    def books(self) -> Books:
        """The logs of training jobs."""
        return Books(self.project.parts)

    @property
    def settings(self) -> ApiSettings:
        return self.project.parts.settings.api

    @property
    def specs(self) -> Path:
        """The folder for the specs that are written here."""
        return self.folder or self.project.root / self.settings.specs

    @property
    def role_arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{ROLE}"

    def writing(self) -> AbstractContextManager[None]:
        """While something is created or changed, so that only one decides and writes at a time."""
        return self.memory.writing(self.project.root)

    def arn(self, kind: str, name: str) -> str:
        """Of a thing of SageMaker: arn:aws:sagemaker:us-east-1:000000000000:training-job/churn."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name}"
