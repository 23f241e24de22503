"""What scripts import from the old toolkit of SageMaker's containers, under its name, made of our toolkit."""

from sagemaker_containers import content_types as _content_types
from sagemaker_containers import env as _env
from sagemaker_containers import errors as _errors
from sagemaker_containers.env import training_env

__all__ = ["_content_types", "_env", "_errors", "training_env"]
