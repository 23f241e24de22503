"""sagespec: SageMaker's train, serve and compare loop from YAML specs in git, on your own machine.

    from sagespec import Options, Project

    with Project.open() as project:
        project.apply(Options(prune=True))

`import sagespec` is light: the engines' and stores' modules come when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagespec.errors import JobFailed, ModelError, Problem, SagespecError, SpecError, WorldError

if TYPE_CHECKING:
    from sagespec.converge import ApplyFailed
    from sagespec.handles.channels import Channel
    from sagespec.handles.deploying import deploy
    from sagespec.handles.endpoints import Endpoint, endpoint
    from sagespec.handles.jobs import Job, job
    from sagespec.handles.training import train
    from sagespec.project import Project
    from sagespec.reconcile.options import Options
    from sagespec.show.progress import progress
    from sagespec.verbs.answers import InvokeError

__version__ = "0.1.0"

__all__ = [
    "ApplyFailed",
    "Channel",
    "Endpoint",
    "InvokeError",
    "Job",
    "JobFailed",
    "ModelError",
    "Options",
    "Problem",
    "Project",
    "SagespecError",
    "SpecError",
    "WorldError",
    "__version__",
    "deploy",
    "endpoint",
    "job",
    "progress",
    "train",
]

_FOUND_IN = {
    "ApplyFailed": "sagespec.converge",
    "Channel": "sagespec.handles.channels",
    "Endpoint": "sagespec.handles.endpoints",
    "InvokeError": "sagespec.verbs.answers",
    "Job": "sagespec.handles.jobs",
    "Options": "sagespec.reconcile.options",
    "Project": "sagespec.project",
    "deploy": "sagespec.handles.deploying",
    "endpoint": "sagespec.handles.endpoints",
    "job": "sagespec.handles.jobs",
    "progress": "sagespec.show.progress",
    "train": "sagespec.handles.training",
}


def __getattr__(name: str) -> Any:
    if name in _FOUND_IN:
        from importlib import import_module

        return getattr(import_module(_FOUND_IN[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext sagespec`: SageMaker's SDKs reach this project's control plane; and `%sagespec`."""
    from sagespec.notebook.extension import load

    load(shell)


def __dir__() -> list[str]:
    """The public names, used or not: Tab offers these."""
    return list(__all__)
