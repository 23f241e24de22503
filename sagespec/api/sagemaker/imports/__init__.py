"""Jobs and endpoints of SageMaker brought into the project: `aws` asks, `jobs` and `endpoints` write and import."""
