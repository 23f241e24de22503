"""SDK 3: a trainer with a script and one of a built-in, jobs listed, a model built and served, resources one by one."""

import json
import pathlib

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

session = Session()
role = get_execution_role()
bucket = session.default_bucket()
image = image_uris.retrieve("xgboost", "us-east-1", "1.7-1")
machine = Compute(instance_type="ml.m5.large", instance_count=1)
rows = pathlib.Path("rows.csv").read_text().strip()

built_in = ModelTrainer(
    training_image=image,
    role=role,
    compute=machine,
    base_job_name="tumours",
    sagemaker_session=session,
    hyperparameters={"objective": "binary:logistic", "num_round": 20, "max_depth": 3},
)
built_in.train(input_data_config=[InputData(channel_name="train", data_source="train.csv", content_type="text/csv")])

pathlib.Path("src").mkdir()
pathlib.Path("src/learn.py").write_text(
    "import os, numpy, xgboost\n"
    "table = numpy.loadtxt(os.path.join(os.environ['SM_CHANNEL_TRAIN'], 'train.csv'), delimiter=',')\n"
    "model = xgboost.train({'objective': 'binary:logistic'}, xgboost.DMatrix(table[:, 1:], table[:, 0]), 20)\n"
    "model.save_model(os.path.join(os.environ['SM_MODEL_DIR'], 'xgboost-model.json'))\n"
    "print('learned by a script')\n"
)
scripted = ModelTrainer(
    training_image=image,
    source_code=SourceCode(source_dir="src", entry_script="learn.py"),
    compute=machine,
    base_job_name="scripted",
    sagemaker_session=session,
)
scripted.train(input_data_config=[InputData(channel_name="train", data_source="train.csv")])
jobs = sorted(job.training_job_name.rpartition("-")[0] for job in TrainingJob.get_all())

builder = ModelBuilder(model=built_in, image_uri=image, role_arn=role, sagemaker_session=session)
builder.build(model_name="built")
endpoint = builder.deploy(endpoint_name="built", initial_instance_count=1, instance_type="ml.m5.large")
answer = endpoint.invoke(body=rows, content_type="text/csv", accept="text/csv").body.read().decode()
built = [float(score) for score in answer.replace("\n", ",").strip(",").split(",")]
endpoint.delete()
endpoint.wait_for_delete()

job = TrainingJob.get(built_in._latest_training_job.training_job_name)
model = Model.create(
    model_name="by-hand",
    primary_container=ContainerDefinition(image=image, model_data_url=job.model_artifacts.s3_model_artifacts),
    execution_role_arn=role,
)
variant = ProductionVariant(
    variant_name="AllTraffic", model_name="by-hand", initial_instance_count=1, instance_type="ml.m5.large"
)
config = EndpointConfig.create(endpoint_config_name="by-hand", production_variants=[variant])
endpoint = Endpoint.create(endpoint_name="by-hand", endpoint_config_name="by-hand")
endpoint.wait_for_status("InService")
answer = endpoint.invoke(body=rows, content_type="text/csv", accept="text/csv")
by_hand = [float(score) for score in answer.body.read().decode().replace("\n", ",").strip(",").split(",")]
served_by = answer.invoked_production_variant
endpoint.delete()
endpoint.wait_for_delete()
config.delete()
model.delete()
print(
    "\n"
    + json.dumps(
        {"role": role, "bucket": bucket, "jobs": jobs, "built": built, "by_hand": by_hand, "served_by": served_by}
    )
)
