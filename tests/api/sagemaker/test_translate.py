"""Requests of SageMaker's clients as documents: the cases in tests/cases/api.

Of a job: `about`, the `request`, and what the translation depends on (`here`: instance_types, images that the engine
has, docker, isolates; `drivers` of SDK 3), then the `document` as it is written, or why it is `refused`. Of an
endpoint: the `config`, the `models`, and what the document was `before`; or the `weights` that it is given. Of a
rollout: the `deployment`, the `last` one and whether it is to be retained; `said` is what people are told.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from sagespec.api.sagemaker.translate.endpoints import ServedModel, endpoint_document, refuse_unknown, with_weights
from sagespec.api.sagemaker.translate.hosted import Engine
from sagespec.api.sagemaker.translate.jobs import Setting, job_document, what_is_left_out
from sagespec.api.sagemaker.translate.names import job_name
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.api.sagemaker.translate.rollouts import about_alarms, with_rollout
from sagespec.api.sagemaker.translate.scripts import Drivers, Script, script_of, serving_script
from sagespec.documents.emit import emit
from sagespec.resolve.builtins import describe_images
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob

CASES = Path(__file__).parents[2] / "cases" / "api"
BUILTINS = frozenset(describe_images(Path(__file__).parents[3] / "images"))


def cases(kind: str) -> list[Any]:
    return [pytest.param(file, id=file.stem) for file in sorted((CASES / kind).glob("*.yaml"))]


def engine(here: dict[str, Any]) -> Engine:
    images = here.get("images", ())
    return Engine(BUILTINS, lambda image: image in images, takes_images=here.get("docker", bool(images)))


def refusal_of(case: dict[str, Any]) -> AbstractContextManager[object]:
    refused = case.get("refused")
    return pytest.raises(Refused, match=f"^{re.escape(refused.strip())}$") if refused else nullcontext()


@pytest.mark.parametrize("file", cases("jobs"))
def test_training_job(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    request, here = case["request"], case.get("here", {})
    name = job_name(request["TrainingJobName"])
    setting = Setting(engine(here), here.get("instance_types", {}), isolates=here.get("isolates", False))
    with refusal_of(case):
        script = script_of(request, Drivers(**case["drivers"]) if "drivers" in case else None)
        source_dir = f"../../code/{name}-1" if script else ""
        document = job_document(request, setting, name=name, version=1, script=script, source_dir=source_dir)
        assert emit(document) == case["document"]
        assert what_is_left_out(request, setting) == case.get("left_out", "")
        TrainingJob.model_validate(document)


@pytest.mark.parametrize(
    ("image", "environment", "source"),
    [
        ("sagemaker-scikit-learn:1.2-1", {"PROGRAM": "a.py", "SUBMIT_DIRECTORY": "s3://b/x/sourcedir.tar.gz"}, "s3"),
        ("sagemaker-xgboost:1.7-1", {"PROGRAM": "a.py", "SUBMIT_DIRECTORY": "s3://b/x/sourcedir.tar.gz"}, "s3"),
        ("kmeans:1", {"PROGRAM": "a.py", "SUBMIT_DIRECTORY": "s3://b/x/sourcedir.tar.gz"}, None),
        ("pytorch-inference:2.2", {"PROGRAM": "a.py", "SUBMIT_DIRECTORY": "/opt/ml/model/code"}, None),
        ("sagemaker-scikit-learn:1.2-1", {"SUBMIT_DIRECTORY": "s3://b/x/sourcedir.tar.gz"}, None),
        ("sagemaker-scikit-learn:1.2-1", {}, None),
    ],
)
def test_script_that_a_container_would_fetch(image: str, environment: dict[str, str], source: str | None) -> None:
    given = {f"SAGEMAKER_{name}": value for name, value in environment.items()}
    found = serving_script(given, f"683313688378.dkr.ecr.us-east-1.amazonaws.com/{image}")
    assert found == (Script("a.py", "s3://b/x/sourcedir.tar.gz") if source else None)


@pytest.mark.parametrize("file", cases("endpoints"))
def test_endpoint(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    models = {name: ServedModel(**model) for name, model in case.get("models", {}).items()}
    with refusal_of(case):
        if "weights" in case:
            document = with_weights(case["before"], case["weights"])
        else:
            refuse_unknown(case["config"])
            here = engine(case.get("here", {}))
            document = endpoint_document("churn", case["config"], models, here, before=case.get("before"))
        assert emit(document) == case["document"]
        Endpoint.model_validate(document)


@pytest.mark.parametrize("file", cases("rollouts"))
def test_rollout(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    deployment, variants = case.get("deployment"), [{"name": "A", "model": "churn@1", "instances": 4}]
    before = {"apiVersion": "sagespec/v1", "kind": "Endpoint", "name": "churn", "variants": variants}
    before |= {"rollout": case["before"]} if "before" in case else {}
    with refusal_of(case):
        document = with_rollout(before, deployment, last=case.get("last"), retain=case.get("retain", False))
        assert document.get("rollout") == case.get("rollout")
        assert about_alarms(deployment) == case.get("said", "")
        Endpoint.model_validate(document)
