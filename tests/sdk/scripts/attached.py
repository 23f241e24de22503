"""SDK 2 and boto3 with a job and an endpoint that no client has created."""

import json

import boto3
import numpy as np
from sagemaker.estimator import Estimator
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

client = boto3.client("sagemaker")
client.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="tumours-3")
client.get_waiter("endpoint_in_service").wait(EndpointName="tumours")
rows = np.loadtxt("rows.csv", delimiter=",")[:5]
found = {"theirs": Predictor("tumours", serializer=CSVSerializer()).predict(rows).decode()}
attached = Estimator.attach("tumours-3")
found["rounds"] = attached.hyperparameters()["num_round"]
predictor = attached.deploy(1, "ml.m5.large", endpoint_name="again", serializer=CSVSerializer())
found["ours"] = predictor.predict(rows).decode()
predictor.delete_endpoint()
print("\n" + json.dumps(found))
