# %% SDK 3: a trainer, a builder, an endpoint.
from pathlib import Path

import pandas as pd
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData

session = Session()
role = get_execution_role()
bucket = session.default_bucket()

Path("data").mkdir(exist_ok=True)
rows = pd.DataFrame({"label": [0, 1] * 100, "a": [1.0, 5.0] * 100, "b": range(200)})
rows.to_csv("data/rows.csv", index=False, header=False)
image = image_uris.retrieve("xgboost", "us-east-1", "1.7-1")
inputs = session.upload_data("data/rows.csv", key_prefix="v3/train")

# %%
trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"objective": "binary:logistic", "num_round": 5},
    base_job_name="plain",
    sagemaker_session=session,
    role=role,
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=inputs, content_type="text/csv")])

# %%
from sagemaker.serve.model_builder import ModelBuilder  # noqa: E402

builder = ModelBuilder(model=trainer, image_uri=image, role_arn=role, sagemaker_session=session)
model = builder.build(model_name="plain-model")
endpoint = builder.deploy(endpoint_name="plain", initial_instance_count=1, instance_type="ml.m5.large")
answer = endpoint.invoke(body="1.0,0\n5.0,1", content_type="text/csv", accept="text/csv").body.read()
print("answers", [round(float(value)) for value in answer.decode().split()])

# %%
from sagemaker.core.resources import Endpoint, TrainingJob  # noqa: E402

job = TrainingJob.get(trainer._latest_training_job.training_job_name)
print("job", job.training_job_status, Endpoint.get("plain").endpoint_status)

# %%
endpoint.delete()
model.delete()
