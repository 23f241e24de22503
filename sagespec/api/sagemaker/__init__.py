"""SageMaker's operations: training jobs, models, endpoints and their configs, tags."""
