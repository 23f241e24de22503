"""SDK 2 with code and data of one's own: a script for scikit-learn, one for XGBoost, and k-means over a record set."""

import json
import pathlib

import numpy as np
import sagemaker
from sagemaker import KMeans
from sagemaker.sklearn import SKLearn
from sagemaker.xgboost import XGBoost

session = sagemaker.Session()
data = session.upload_data("train.csv", key_prefix="frameworks")
machine = {"instance_count": 1, "instance_type": "ml.m5.large", "sagemaker_session": session}
role = "arn:aws:iam::000000000000:role/sagespec"
table = np.loadtxt("test.csv", delimiter=",")
found = {}

code = pathlib.Path("code")
code.mkdir()
(code / "forest.py").write_text(
    """
import argparse, os, joblib, numpy
from sklearn.ensemble import RandomForestClassifier

def train(trees):
    table = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=",")
    model = RandomForestClassifier(trees, random_state=0).fit(table[:, 1:], table[:, 0])
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))

def model_fn(folder):
    return joblib.load(os.path.join(folder, "model.joblib"))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int)
    train(parser.parse_args().trees)
"""
)
forest = SKLearn(
    entry_point="forest.py", source_dir="code", framework_version="1.2-1", py_version="py3", role=role,
    hyperparameters={"trees": 50}, base_job_name="forest", **machine,
)  # fmt: skip
forest.fit({"train": data})
predictor = forest.deploy(1, "ml.m5.large", endpoint_name="forest")
found["forest"] = float(np.mean(predictor.predict(table[:, 1:]) == table[:, 0]))
predictor.delete_endpoint()

(code / "boost.py").write_text(
    """
import os, numpy, xgboost
if __name__ == "__main__":
    table = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=",")
    rows = xgboost.DMatrix(table[:, 1:], table[:, 0])
    model = xgboost.train({"objective": "binary:logistic", "seed": 0}, rows, 20)
    model.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "xgboost-model.json"))
    print("trained in script mode")
"""
)
boost = XGBoost(
    entry_point="boost.py", source_dir="code", framework_version="1.7-1", role=role, base_job_name="boost", **machine
)
boost.fit({"train": data})
found["boost"] = boost.model_data

centres = KMeans(role=role, k=2, base_job_name="centres", **machine)
centres.fit(centres.record_set(table[:, 1:].astype("float32")))
predictor = centres.deploy(1, "ml.m5.large", endpoint_name="centres")
answers = [int(one.label["closest_cluster"].float32_tensor.values[0]) for one in predictor.predict(table[:50, 1:].astype("float32"))]  # fmt: skip  # noqa: E501
found["centres"] = answers
predictor.delete_endpoint()
gone = predictor.sagemaker_session.sagemaker_client.get_waiter("endpoint_deleted")
gone.wait(EndpointName="centres", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
print("\n" + json.dumps(found))
