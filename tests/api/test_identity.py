"""Who programs are told that they are."""

from __future__ import annotations

from tests.planes import Plane


def test_the_caller_has_assumed_the_role_that_sdks_train_with(plane: Plane) -> None:
    found = plane.client("sts").get_caller_identity()
    assert (found["Account"], found["Arn"]) == (
        "000000000000",
        "arn:aws:sts::000000000000:assumed-role/sagespec/local",
    )


def test_a_role_may_be_assumed_by_sagemaker(plane: Plane) -> None:
    role = plane.client("iam").get_role(RoleName="AmazonSageMaker-ExecutionRole")["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/AmazonSageMaker-ExecutionRole"
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_the_role_may_do_everything(plane: Plane) -> None:
    found = plane.client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::000000000000:role/sagespec", ActionNames=["s3:GetObject", "ecr:GetImage"]
    )
    decisions = {result["EvalActionName"]: result["EvalDecision"] for result in found["EvaluationResults"]}
    assert decisions == {"s3:GetObject": "allowed", "ecr:GetImage": "allowed"}
