"""SageMaker's control plane over a project, for clients that were made for AWS."""
