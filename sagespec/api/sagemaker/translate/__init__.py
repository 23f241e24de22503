"""What SageMaker's clients ask for, as documents of sagespec. Pure: requests in, documents out."""
