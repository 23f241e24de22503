"""Every kind of document. A new kind is one more file in this folder and one line here."""

from __future__ import annotations

from sagespec.spec.endpoint import Endpoint
from sagespec.spec.environment import Environment
from sagespec.spec.job import TrainingJob
from sagespec.spec.model import Model
from sagespec.spec.notebook import Notebook
from sagespec.spec.project import ProjectSettings

Spec = TrainingJob | Endpoint | Notebook | Model
KINDS: dict[str, type[Spec] | type[ProjectSettings] | type[Environment]] = {
    "TrainingJob": TrainingJob,
    "Endpoint": Endpoint,
    "Notebook": Notebook,
    "Model": Model,
    "Project": ProjectSettings,
    "Environment": Environment,
}
