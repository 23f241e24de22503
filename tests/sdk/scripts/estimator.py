"""SDK 2, as in a notebook: role, upload, fit, deploy, predict. Leaves the endpoint."""

import json
import pathlib

import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
train = session.upload_data("train.csv", bucket=bucket, key_prefix="tumours/train")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
estimator = Estimator(
    image_uri=image,
    role=role,
    instance_count=1,
    instance_type="ml.m5.xlarge",
    output_path=f"s3://{bucket}/tumours/models",
    base_job_name="tumours",
    sagemaker_session=session,
)
estimator.set_hyperparameters(objective="binary:logistic", num_round=20, max_depth=3, eval_metric="logloss")
estimator.fit({"train": TrainingInput(train, content_type="text/csv")})
predictor = estimator.deploy(
    initial_instance_count=1,
    instance_type="ml.m5.large",
    endpoint_name="tumours",
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
)
rows = pathlib.Path("rows.csv").read_text().strip()
scores = [float(score) for row in predictor.predict(rows) for score in row]
session.download_data("fetched", bucket, estimator.model_data.split(f"{bucket}/")[1])
print(
    "\n"
    + json.dumps(
        {
            "role": role,
            "bucket": bucket,
            "job": estimator.latest_training_job.name,
            "model_data": estimator.model_data,
            "scores": scores,
        }
    )
)
