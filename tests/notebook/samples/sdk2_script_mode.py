# %% A script of one's own in scikit-learn's container, its metrics, a second version, and both behind one endpoint.
from pathlib import Path

import pandas as pd
import sagemaker
from sagemaker.sklearn.estimator import SKLearn

session = sagemaker.Session()
role = sagemaker.get_execution_role()

Path("data").mkdir(exist_ok=True)
Path("data/script.py").write_text("""
import argparse, os
import joblib
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

def model_fn(folder):
    return joblib.load(os.path.join(folder, "model.joblib"))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-depth", type=int, default=2)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
    given, _ = parser.parse_known_args()
    rows = pd.read_csv(os.path.join(given.train, "rows.csv"), header=None)
    model = DecisionTreeClassifier(max_depth=given.max_depth).fit(rows.iloc[:, 1:], rows.iloc[:, 0])
    print(f"accuracy={model.score(rows.iloc[:, 1:], rows.iloc[:, 0]):.3f};")
    joblib.dump(model, os.path.join(given.model_dir, "model.joblib"))
""")
rows = pd.DataFrame({"label": [0, 1] * 50, "a": [1.0, 5.0] * 50, "b": range(100)})
rows.to_csv("data/rows.csv", index=False, header=False)
inputs = session.upload_data("data/rows.csv", key_prefix="script/train")

# %%
estimator = SKLearn(
    "script.py",
    source_dir="data",
    framework_version="1.2-1",
    instance_type="ml.m5.large",
    role=role,
    sagemaker_session=session,
    hyperparameters={"max-depth": 3},
    metric_definitions=[{"Name": "accuracy", "Regex": "accuracy=([0-9.]+);"}],
    base_job_name="tree",
)
estimator.fit({"train": inputs})

# %%
predictor = estimator.deploy(1, "ml.m5.large", endpoint_name="tree")
print("answers", predictor.predict([[1.0, 0], [5.0, 1]]).tolist())

# %%
again = SKLearn.attach(estimator.latest_training_job.name, sagemaker_session=session)
print(
    "found", again.latest_training_job.name == estimator.latest_training_job.name, again.hyperparameters()["max-depth"]
)

# %%
predictor.delete_model()
predictor.delete_endpoint()
