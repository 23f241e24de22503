"""What scripts import from SageMaker's XGBoost container, under its name, made of our toolkit.

So a script written for the hosted container runs here unchanged. Signatures: aws/sagemaker-xgboost-container.
"""
