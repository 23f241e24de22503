"""SDK 2: a job of some seconds, whose script leaves a sign that it has begun."""

import pathlib

import sagemaker
from sagemaker.sklearn import SKLearn

session = sagemaker.Session()
sign = str(pathlib.Path("begun").resolve())
pathlib.Path("slow.py").write_text(
    "import os, sys, time\n"
    f"open({sign!r}, 'w').close()\n"
    "for number in range(1, 9):\n"
    "    print(f'epoch {number} of 8', flush=True)\n"
    "    time.sleep(1)\n"
    "open(os.path.join(os.environ['SM_MODEL_DIR'], 'done'), 'w').close()\n"
)
estimator = SKLearn(
    entry_point="slow.py", framework_version="1.2-1", py_version="py3", instance_type="ml.m5.large",
    role="arn:aws:iam::000000000000:role/sagespec", sagemaker_session=session, base_job_name="slow",
)  # fmt: skip
estimator.fit({"train": session.upload_data("train.csv", key_prefix="slow")})
print("\nfit has returned")
