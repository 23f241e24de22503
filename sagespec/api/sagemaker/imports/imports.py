"""What `sagespec import sagemaker:NAME` does. The name is a training job's or an endpoint's."""

from __future__ import annotations

from sagespec.api.sagemaker.imports.aws import SageMaker
from sagespec.api.sagemaker.imports.endpoints import import_endpoint
from sagespec.api.sagemaker.imports.jobs import import_job
from sagespec.api.sagemaker.imports.specs import Brought
from sagespec.errors import SpecError, WorldError
from sagespec.parts import Parts
from sagespec.verbs.import_model import ServedBy

SCHEME = "sagemaker:"
_KINDS = ("training-job", "endpoint")


def import_from_sagemaker(
    parts: Parts, address: str, *, region: str = "", version: str = "", served_by: ServedBy | None = None
) -> Brought:
    """address: sagemaker:NAME, or sagemaker:endpoint/NAME and sagemaker:training-job/NAME where both have the name.

    WorldError where it cannot be had, or not be served here, and where it is here already.
    """
    kind, name = _named(address)
    asked = SageMaker(region)
    job = asked.job(name) if kind != "endpoint" else None
    endpoint = asked.endpoint(name) if kind != "training-job" else None
    if job and endpoint:
        fix = f"say which: {' or '.join(f'{SCHEME}{one}/{name}' for one in _KINDS)}"
        raise WorldError(f"a training job and an endpoint are called {name}", fix=fix)
    if job:
        return import_job(parts, job, asked.place, version=version, served_by=served_by)
    if endpoint is None:
        said = f"{kind.replace('-', ' ')} {name}" if kind else f"training job or endpoint {name}"
        raise WorldError(f"there is no {said} in {asked.place}", fix="check the name, and the region: --region")
    if version or (served_by and served_by.named):
        raise SpecError(
            f"{name} is an endpoint, whose models are named and served as SageMaker says",
            fix="leave out --as and the like",
        )
    return import_endpoint(parts, asked, endpoint, asked.place)


def _named(address: str) -> tuple[str, str]:
    words = address.removeprefix(SCHEME).split("/")
    if len(words) == 2 and words[0] in _KINDS and words[1]:
        return words[0], words[1]
    if len(words) == 1 and words[0]:
        return "", words[0]
    raise SpecError(
        f"{address} names nothing of SageMaker", fix="write sagemaker:NAME, of a training job or an endpoint"
    )
