"""Where scripts find the parts of the old toolkit: `from sagemaker_containers.beta.framework import encoders`."""

from sagemaker_containers import content_types, entry_point, env, errors
from sagemaker_containers.beta.framework import encoders, modules, transformer, worker
from sagemaker_containers.env import training_env

__all__ = [
    "content_types",
    "encoders",
    "entry_point",
    "env",
    "errors",
    "modules",
    "training_env",
    "transformer",
    "worker",
]
