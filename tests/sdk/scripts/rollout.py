"""SDK 2: an endpoint whose model changes as a canary; wait_for_endpoint and boto3's waiter see it to its end."""

import json

import sagemaker
from sagemaker.estimator import Estimator

session = sagemaker.Session()
role = "arn:aws:iam::000000000000:role/sagespec"
image = sagemaker.image_uris.retrieve("xgboost", "us-east-1", "1.7-1")
data = session.upload_data("train.csv", key_prefix="rollout")
channel = sagemaker.inputs.TrainingInput(data, content_type="text/csv")


def trained(rounds):
    estimator = Estimator(image, role, 1, "ml.m5.large", sagemaker_session=session)
    estimator.set_hyperparameters(objective="binary:logistic", num_round=rounds)
    estimator.fit({"train": channel}, wait=True, logs=False)
    return estimator.create_model()


first, second = trained(3), trained(5)
first.deploy(1, "ml.m5.large", endpoint_name="tumours")
second.create(instance_type="ml.m5.large")
client = session.sagemaker_client
variant = {
    "VariantName": "AllTraffic",
    "ModelName": second.name,
    "InitialInstanceCount": 1,
    "InstanceType": "ml.m5.large",
}
client.create_endpoint_config(EndpointConfigName="second", ProductionVariants=[variant])
routing = {"Type": "CANARY", "WaitIntervalInSeconds": 5, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20}}
policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 2}
client.update_endpoint(
    EndpointName="tumours", EndpointConfigName="second", DeploymentConfig={"BlueGreenUpdatePolicy": policy}
)
found = {"meanwhile": client.describe_endpoint(EndpointName="tumours")["EndpointStatus"]}
waited = session.wait_for_endpoint("tumours", poll=1)
found["after"] = waited["EndpointStatus"], waited["EndpointConfigName"], "PendingDeploymentSummary" in waited
client.get_waiter("endpoint_in_service").wait(EndpointName="tumours", WaiterConfig={"Delay": 1, "MaxAttempts": 5})
print(f"\n{json.dumps(found)}")
