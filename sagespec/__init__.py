"""sagespec: the train, serve and compare loop of SageMaker from YAML specs in git, on your own machine."""

__version__ = "0.1.0"
