"""`accelerate` is in the record and the hash of a variant that asks for it, and in no other."""

from __future__ import annotations

from typing import Any

from sagespec.state.acceleration import Acceleration
from tests.fakes.specs import desired_from

JOB = {"kind": "TrainingJob", "name": "churn", "version": 1, "algorithm": "xgboost"}


def endpoint(**fields: Any) -> Any:
    spec = {"kind": "Endpoint", "name": "churn", "variants": [{"name": "stable", "model": "churn@1", **fields}]}
    return desired_from(JOB, spec).endpoints[0]


def test_a_variant_that_does_not_use_it_keeps_its_record_and_its_hash() -> None:
    plain, accelerated = endpoint(), endpoint(accelerate="onnx")
    assert "accelerate" not in plain.record.as_json()["variants"][0]
    assert accelerated.record.as_json()["variants"][0]["accelerate"] == "onnx"
    assert plain.variants[0].hash == endpoint(accelerate=None).variants[0].hash != accelerated.variants[0].hash
    assert plain.hash != accelerated.hash


def test_what_status_says_of_it() -> None:
    assert str(Acceleration("onnx", True, "Ridge")) == "accelerate: onnx is on: Ridge"
    assert str(Acceleration("onnx", False, "no converter")) == "accelerate: onnx is off: no converter"
    assert str(Acceleration("onnx", None, "")) == "accelerate: onnx is not known yet"
