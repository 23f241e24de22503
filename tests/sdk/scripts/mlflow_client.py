"""MLflow's client for SageMaker: a model of its own served, replaced, listed and removed."""

import json
import pathlib

import boto3
import mlflow.deployments
import mlflow.sklearn
import numpy as np
from sklearn.linear_model import LogisticRegression

table = np.loadtxt("train.csv", delimiter=",")
paths = []
for name, penalty in (("first", 1.0), ("second", 0.1)):
    path = str(pathlib.Path(name).resolve())
    mlflow.sklearn.save_model(LogisticRegression(C=penalty, max_iter=5000).fit(table[:, 1:], table[:, 0]), path)
    paths.append(path)

target = mlflow.deployments.get_deploy_client("sagemaker:/us-east-1")
config = {
    "image_url": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    "execution_role_arn": "arn:aws:iam::000000000000:role/sagespec",
    "instance_type": "ml.m5.large",
    "instance_count": 1,
    "timeout_seconds": 240,
}
sagemaker = boto3.client("sagemaker")
states = []
target.create_deployment("tumours", paths[0], flavor="python_function", config=config)
states.append(sagemaker.describe_endpoint(EndpointName="tumours")["EndpointStatus"])
listed = [one["EndpointName"] for one in target.list_deployments()]
target.update_deployment("tumours", paths[1], flavor="python_function", config={**config, "mode": "replace"})
states.append(sagemaker.describe_endpoint(EndpointName="tumours")["EndpointStatus"])
target.delete_deployment("tumours", config={"timeout_seconds": 240})
print(
    "\n"
    + json.dumps(
        {"listed": listed, "states": states, "after": [one["EndpointName"] for one in target.list_deployments()]}
    )
)
