"""sagespec: SageMaker's train, serve and compare loop from YAML specs in git, on your own machine.

    from sagespec import Options, Project

    with Project.open() as project:
        project.apply(Options(prune=True))

`import sagespec` is light: the engines' and stores' modules come when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagespec.errors import Problem, SagespecError, SpecError, WorldError

if TYPE_CHECKING:
    from sagespec.project import Project
    from sagespec.reconcile.options import Options

__version__ = "0.1.0"

__all__ = ["Options", "Problem", "Project", "SagespecError", "SpecError", "WorldError", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Project":
        from sagespec.project import Project

        return Project
    if name == "Options":
        from sagespec.reconcile.options import Options

        return Options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
