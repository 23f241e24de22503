"""SDK 2 on another day: the job found again, its metrics and logs, the endpoint made larger, and all cleaned up."""

import json
import pathlib
import sys

import sagemaker
from botocore.exceptions import ClientError
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

session = sagemaker.Session()
found = Estimator.attach(sys.argv[1], sagemaker_session=session)
metrics = found.training_job_analytics.dataframe()
found.logs()
predictor = Predictor("tumours", session, serializer=CSVSerializer(), deserializer=CSVDeserializer())
predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.large")
instances = session.sagemaker_client.describe_endpoint(EndpointName="tumours")["ProductionVariants"]
rows = pathlib.Path("rows.csv").read_text().strip()
scores = [float(score) for row in predictor.predict(rows) for score in row]
predictor.delete_model()
predictor.delete_endpoint()
try:
    session.sagemaker_client.get_waiter("endpoint_deleted").wait(EndpointName="tumours")
    session.sagemaker_client.describe_endpoint(EndpointName="tumours")
    gone = "it is there"
except ClientError as error:
    gone = error.response["Error"]["Message"]
print(
    "\n"
    + json.dumps(
        {
            "hyperparameters": found.hyperparameters(),
            "metrics": sorted(set(metrics["metric_name"])),
            "instances": [one["CurrentInstanceCount"] for one in instances],
            "scores": scores,
            "gone": gone,
        }
    )
)
