"""Images that AWS hosts, as what sagespec has for them: a built-in algorithm or a framework, by the repository's name.

Account and region of an address say nothing here, and neither does the tag. Names: image_uris of SageMaker's SDK.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sagespec.api.sagemaker.translate.refusal import Refused

_HOSTED = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.[a-z0-9.-]+/(?P<repository>[^:@]+)(?:[:@].*)?")

ALGORITHMS = {
    name: name
    for name in (
        *("blazingtext", "factorization-machines", "kmeans", "knn", "lda", "linear-learner", "pca"),
        *("randomcutforest", "xgboost"),
    )
} | {"sagemaker-xgboost": "xgboost"}
FRAMEWORKS = {
    "sagemaker-scikit-learn": "sklearn",
    "sagemaker-xgboost": "xgboost",
    "xgboost": "xgboost",
    **dict.fromkeys(("pytorch-training", "pytorch-inference", "sagemaker-pytorch"), "pytorch"),
    **dict.fromkeys(("tensorflow-training", "tensorflow-inference", "sagemaker-tensorflow"), "tensorflow"),
    **dict.fromkeys(("sagemaker-tensorflow-scriptmode", "sagemaker-tensorflow-serving"), "tensorflow"),
    **dict.fromkeys(("mxnet-training", "mxnet-inference", "sagemaker-mxnet", "sagemaker-mxnet-serving"), "mxnet"),
    **dict.fromkeys(("huggingface-pytorch-training", "huggingface-pytorch-inference"), "huggingface"),
}


@dataclass(frozen=True)
class Engine:
    """What can run here. has_image: whether there is an image of that name. takes_images: whether it runs containers
    at all; processes have none."""

    builtins: Collection[str]
    has_image: Callable[[str], bool] = lambda _: False
    takes_images: bool = False


_TAG = "1.0-1-cpu-py3"  # in the form that SDKs take apart
_REPOSITORIES = {"xgboost": "sagemaker-xgboost"} | {
    "sklearn": "sagemaker-scikit-learn",
    "huggingface": "huggingface-pytorch-training",
    **{name: f"{name}-training" for name in ("pytorch", "tensorflow", "mxnet")},
}


def image_for(spec: Mapping[str, str], account: str, region: str) -> str:
    """The address at AWS that stands for what a job's spec says it runs; '' for a container that it builds.

    >>> image_for({"framework": "sklearn"}, "000000000000", "us-east-1")
    '000000000000.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.0-1-cpu-py3'
    """
    name = spec.get("framework") or spec.get("algorithm") or ""
    if not name:
        return spec.get("image", "")
    return f"{account}.dkr.ecr.{region}.amazonaws.com/{_REPOSITORIES.get(name, name)}:{_TAG}"


def repository_of(image: str) -> str:
    """Of an address at AWS; '' for any other.

    >>> repository_of("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"), repository_of("mine:1")
    ('sagemaker-xgboost', '')
    """
    found = _HOSTED.fullmatch(image)
    return found["repository"] if found else ""


def program_of(image: str, engine: Engine, *, has_script: bool) -> dict[str, str]:
    """The field of a spec that says what runs: algorithm, framework or image."""
    repository = repository_of(image)
    # Repackaged images of the SDK ("…-2.2.0") and images of marketplaces have longer names, which mean nothing here.
    if has_script and FRAMEWORKS.get(repository) in engine.builtins:
        return {"framework": FRAMEWORKS[repository]}
    if not has_script and ALGORITHMS.get(repository) in engine.builtins:
        return {"algorithm": ALGORITHMS[repository]}
    if engine.takes_images and not repository:
        return {"image": image}
    if engine.takes_images and (found := _name_there(image, engine)):
        return {"image": found}
    raise Refused(_why_not(image, repository, engine))


def _name_there(image: str, engine: Engine) -> str:
    """By what name the engine has an image of ECR's: by its whole address, or by what follows the registry, as it was
    built before somebody would have pushed it. '' for none."""
    return next((name for name in (image, image.partition("/")[2]) if engine.has_image(name)), "")


def _why_not(image: str, repository: str, engine: Engine) -> str:
    if FRAMEWORKS.get(repository) in engine.builtins:
        return (
            f"{repository} runs your script, and the request names none: give entry_point (SDK 2), "
            "source_code (SDK 3), or the hyperparameters sagemaker_program and sagemaker_submit_directory"
        )
    algorithms = ", ".join(sorted({name for name in ALGORITHMS.values() if name in engine.builtins}))
    frameworks = ", ".join(sorted({name for name in FRAMEWORKS.values() if name in engine.builtins}))
    there_is = f"the built-in algorithms are {algorithms}; the frameworks for your script are {frameworks}"
    if not engine.takes_images:
        return f"there is no {image} here, and without a Docker engine no image can be run; {there_is}"
    return f"there is no {image} here: pull or build it on this machine's Docker engine; {there_is}"
