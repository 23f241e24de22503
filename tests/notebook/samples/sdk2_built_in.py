# %% The classes of the built-in algorithms: arrays as record sets, answers as protobuf.
import numpy as np
import sagemaker

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()

dice = np.random.default_rng(1)
points = np.concatenate([dice.normal(centre, 0.3, (60, 2)) for centre in (-2.0, 0.0, 2.0)]).astype("float32")
labels = np.repeat([0.0, 1.0], 90).astype("float32")

# %%
kmeans = sagemaker.KMeans(
    role, 1, "ml.c4.xlarge", k=3, output_path=f"s3://{bucket}/kmeans", base_job_name="groups", sagemaker_session=session
)
kmeans.fit(kmeans.record_set(points))

# %%
groups = kmeans.deploy(1, "ml.m4.xlarge", endpoint_name="groups")
answers = groups.predict(points[[0, 70, 170]])
nearest = [int(answer.label["closest_cluster"].float32_tensor.values[0]) for answer in answers]
print("groups", len(set(nearest)))

# %%
learner = sagemaker.LinearLearner(
    role,
    1,
    "ml.c4.xlarge",
    predictor_type="binary_classifier",
    epochs=5,
    output_path=f"s3://{bucket}/linear",
    base_job_name="sides",
    sagemaker_session=session,
)
learner.fit(learner.record_set(points, labels=labels))

# %%
sides = learner.deploy(1, "ml.m4.xlarge", endpoint_name="sides")
told = [answer.label["predicted_label"].float32_tensor.values[0] for answer in sides.predict(points[[0, 170]])]
print("sides", told)

# %%
for predictor in (groups, sides):
    predictor.delete_model()
    predictor.delete_endpoint()
    deleted = session.sagemaker_client.get_waiter("endpoint_deleted")
    deleted.wait(EndpointName=predictor.endpoint_name, WaiterConfig={"Delay": 1})
print("left", session.sagemaker_client.list_endpoints()["Endpoints"])
