"""The errors of SageMaker's algorithms, under the name that scripts import."""
