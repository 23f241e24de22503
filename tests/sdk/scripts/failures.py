"""SDK 2 where things go wrong: a script that raises, a misspelt setting, an image that is not here, names twice."""

import json
import pathlib

import sagemaker
from botocore.exceptions import ClientError
from sagemaker.estimator import Estimator
from sagemaker.predictor import Predictor
from sagemaker.sklearn import SKLearn

session = sagemaker.Session()
role = "arn:aws:iam::000000000000:role/sagespec"
data = session.upload_data("train.csv", key_prefix="failures")
machine = {"instance_count": 1, "instance_type": "ml.m5.large", "sagemaker_session": session, "role": role}
found = {}


def attempt(name, call):
    try:
        call()
        found[name] = ["nothing was raised", ""]
    except Exception as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        found[name] = [code or type(error).__name__, str(error)]


pathlib.Path("raises.py").write_text("print('so far so good')\nraise ValueError('the label column is empty')\n")
script = SKLearn(entry_point="raises.py", framework_version="1.2-1", py_version="py3", **machine)
attempt("script", lambda: script.fit({"train": data}))

image = sagemaker.image_uris.retrieve("xgboost", "us-east-1", version="1.7-1")
misspelt = Estimator(image, hyperparameters={"num_rounds": 5, "num_round": 5}, **machine)
attempt("misspelt", lambda: misspelt.fit({"train": data}))
other = Estimator("000000000001.dkr.ecr.us-east-1.amazonaws.com/nowhere-to-be-found:1", **machine)
attempt("image", lambda: other.fit({"train": data}))
attempt("endpoint", lambda: Predictor("not-there", session).predict(b"1"))

slow = Estimator(image, hyperparameters={"num_round": 5}, **machine)
slow.fit({"train": data}, wait=False, job_name="once")
attempt("twice", lambda: slow.fit({"train": data}, wait=False, job_name="once"))
session.stop_training_job("once")
missing = Estimator(image, hyperparameters={"num_round": 5}, **machine)
attempt("data", lambda: missing.fit({"train": "s3://no-such-bucket-here/train.csv"}))
print("\n" + json.dumps(found))
