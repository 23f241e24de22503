"""sagespec: SageMaker's train, serve and compare loop from YAML specs in git, on your own machine.

    from sagespec import Project

    with Project.open() as project:
        project.apply()

`import sagespec` is light: the engines' and stores' modules come when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagespec.errors import Problem, SagespecError, SpecError, WorldError

if TYPE_CHECKING:
    from sagespec.project import Project

__version__ = "0.1.0"

__all__ = ["Problem", "Project", "SagespecError", "SpecError", "WorldError", "__version__"]


def __getattr__(name: str) -> Any:
    if name != "Project":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sagespec.project import Project

    return Project
