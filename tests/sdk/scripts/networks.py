"""SDK 2: PyTorch on two hosts by torchrun, and its model served by another script, which the SDK packs into it."""

import json
import pathlib

import numpy as np
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.serializers import JSONSerializer

session = sagemaker.Session()
data = session.upload_data("train.csv", key_prefix="networks")
role = "arn:aws:iam::000000000000:role/sagespec"

training, serving = pathlib.Path("training"), pathlib.Path("serving")
training.mkdir()
serving.mkdir()
(training / "train.py").write_text(
    """
import os, numpy, torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
table = torch.tensor(numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=","))
rows, labels = table[:, 1:].float(), table[:, :1].float()
rows = (rows - rows.mean(0)) / rows.std(0)
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(30, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for step in range(60):
    optimizer.zero_grad()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(rows[rank::size]), labels[rank::size])
    loss.backward()
    optimizer.step()
print(f"rank {rank} of {size} ended with loss {loss.item():.3f}", flush=True)
if rank == 0:
    state = {"weights": model.module.state_dict(), "ranks": size}
    torch.save(state, os.path.join(os.environ["SM_MODEL_DIR"], "linear.pt"))
dist.destroy_process_group()
"""
)
(serving / "answers.py").write_text(
    """
import json, os, torch

def model_fn(folder):
    return torch.load(os.path.join(folder, "linear.pt"))

def input_fn(body, content_type):
    return torch.tensor(json.loads(body)["rows"])

def predict_fn(rows, model):
    linear = torch.nn.Linear(30, 1)
    linear.load_state_dict(model["weights"])
    return {"ranks": model["ranks"], "scores": torch.sigmoid(linear(rows)).flatten().tolist()}

def output_fn(found, accept):
    return json.dumps(found), "application/json"
"""
)
pytorch = PyTorch(
    entry_point="train.py", source_dir="training", framework_version="2.2.0", py_version="py310", role=role,
    instance_count=2, instance_type="ml.g4dn.xlarge", distribution={"torch_distributed": {"enabled": True}},
    base_job_name="linear", sagemaker_session=session,
)  # fmt: skip
pytorch.fit({"train": data})
model = PyTorchModel(
    model_data=pytorch.model_data, role=role, entry_point="answers.py", source_dir="serving", framework_version="2.2.0",
    py_version="py310", sagemaker_session=session,
)  # fmt: skip
predictor = model.deploy(
    1, "ml.m5.large", endpoint_name="linear", serializer=JSONSerializer(), deserializer=JSONDeserializer()
)
table = np.loadtxt("train.csv", delimiter=",")[:, 1:]
rows = (np.loadtxt("rows.csv", delimiter=",") - table.mean(0)) / table.std(0, ddof=1)
print("\n" + json.dumps(predictor.predict({"rows": rows.tolist()})))
