"""Every kind of document. A new kind is one more file in this folder and one line here."""

from __future__ import annotations

from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from sagespec.spec.project import ProjectSettings

Spec = TrainingJob | Endpoint
KINDS: dict[str, type[TrainingJob] | type[Endpoint] | type[ProjectSettings]] = {
    "TrainingJob": TrainingJob,
    "Endpoint": Endpoint,
    "Project": ProjectSettings,
}
