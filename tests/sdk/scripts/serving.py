"""SDK 2: models that are served by another script than they were trained with, which nobody has packed into them."""

import json
import pathlib
import sys

import numpy as np
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.serializers import CSVSerializer, JSONSerializer
from sagemaker.sklearn import SKLearn, SKLearnModel
from sagemaker.xgboost import XGBoostModel

session = sagemaker.Session()
data = session.upload_data("train.csv", key_prefix="serving")
machine = {"instance_count": 1, "instance_type": "ml.m5.large", "sagemaker_session": session}
role = "arn:aws:iam::000000000000:role/sagespec"
rows = np.loadtxt("rows.csv", delimiter=",")[:5]
found = {}

training, serving = pathlib.Path("training"), pathlib.Path("serving")
training.mkdir()
serving.mkdir()
(training / "train.py").write_text(
    """
import os, joblib, numpy
from sklearn.ensemble import RandomForestClassifier
if __name__ == "__main__":
    table = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=",")
    model = RandomForestClassifier(20, random_state=0).fit(table[:, 1:], table[:, 0])
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "forest.joblib"))
"""
)
(serving / "words.py").write_text("WORDS = ['malignant', 'benign']\n")
(serving / "inference.py").write_text(
    """
import json, os, joblib, numpy
from words import WORDS

def model_fn(folder):
    return joblib.load(os.path.join(folder, "forest.joblib"))

def input_fn(body, content_type):
    return numpy.array(json.loads(body)["rows"])

def predict_fn(rows, model):
    return [WORDS[int(label)] for label in model.predict(rows)]

def output_fn(words, accept):
    return json.dumps({"words": words}), "application/json"
"""
)
(serving / "boosted.py").write_text(
    """
import json, os, numpy, xgboost

def model_fn(folder):
    return xgboost.Booster(model_file=os.path.join(folder, "xgboost-model"))

def input_fn(body, content_type):
    return xgboost.DMatrix(numpy.array([line.split(",") for line in body.strip().splitlines()], dtype=float))

def predict_fn(rows, model):
    return ["sure" if abs(score - 0.5) > 0.4 else "unsure" for score in model.predict(rows)]

def output_fn(words, accept):
    return json.dumps({"how": words}), "application/json"
"""
)

forest = SKLearn(
    entry_point="train.py", source_dir="training", framework_version="1.2-1", py_version="py3", role=role,
    base_job_name="forest", **machine,
)  # fmt: skip
forest.fit({"train": data})
model = SKLearnModel(
    model_data=forest.model_data, role=role, entry_point="inference.py", source_dir="serving",
    framework_version="1.2-1", py_version="py3", sagemaker_session=session,
)  # fmt: skip
predictor = model.deploy(
    1, "ml.m5.large", endpoint_name="forest", serializer=JSONSerializer(), deserializer=JSONDeserializer()
)
found["words"] = predictor.predict({"rows": rows.tolist()})["words"]

image = sagemaker.image_uris.retrieve("xgboost", "us-east-1", "1.7-1")
trees = Estimator(image, role, base_job_name="trees", **machine)
trees.set_hyperparameters(objective="binary:logistic", num_round=20)
trees.fit({"train": sagemaker.inputs.TrainingInput(data, content_type="text/csv")})
boosted = XGBoostModel(
    model_data=trees.model_data, role=role, entry_point="boosted.py", source_dir="serving", framework_version="1.7-1",
    sagemaker_session=session,
)  # fmt: skip
predictor = boosted.deploy(
    1, "ml.m5.large", endpoint_name="trees", serializer=CSVSerializer(), deserializer=JSONDeserializer()
)
found["how"] = predictor.predict(rows)["how"]
print("\n" + json.dumps(found))
sys.stdout.flush()
