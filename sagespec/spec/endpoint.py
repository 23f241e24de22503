"""The Endpoint document: variants, their share of the traffic, and how a change is rolled out.

`load` builds it from YAML, `resolve` turns it into a DesiredEndpoint; the schema and docs/spec.md come from its fields.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from sagespec.spec.acceleration import WHAT_TAKES_IT, Acceleration, takes_acceleration
from sagespec.spec.compare import Compare
from sagespec.spec.document import DocumentSpec, Update
from sagespec.spec.job import Resources
from sagespec.spec.limits import Limits
from sagespec.spec.model import named_alias
from sagespec.spec.rollout import Rollout, check_rollout
from sagespec.spec.secrets import ServingValue
from sagespec.spec.split import Split, WhenDown
from sagespec.spec.values import (
    NAME_REGEX,
    NO_OTHER_NAMES,
    EntryPoint,
    EnvironmentName,
    ImageName,
    Name,
    SpecModel,
    check_source,
    quoted,
    wrong,
)

PROGRAMS_OF_ARCHIVES = ("algorithm", "framework", "image")
_ONE_PROGRAM_FOR_ARCHIVES: JsonDict = {
    "if": {"properties": {"model": {"pattern": r"\.tar\.gz$"}}},
    "then": {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("algorithm", "framework", "image")
        ]
    },
    "else": {"properties": {"algorithm": {"type": "null"}, "framework": {"type": "null"}}},
}
_JOB_AT_VERSION = re.compile(r"([a-zA-Z0-9-]{1,63})@([1-9][0-9]{0,15})")


_STORED = re.compile(r"store://([a-zA-Z0-9][a-zA-Z0-9._-]{0,200}\.tar\.gz)")


def stored_archive(model: str) -> str | None:
    """The name of the archive in the project's store that a variant's `model` names; None for any other place.

    >>> stored_archive("store://churn-3fa85f643fa8.tar.gz"), stored_archive("churn@3")
    ('churn-3fa85f643fa8.tar.gz', None)
    """
    match = _STORED.fullmatch(model)
    return match[1] if match else None


def named_job(model: str) -> tuple[str, int] | None:
    """Name and version of the job whose model a variant's `model` names; None when it points to an archive.

    >>> named_job("churn@3"), named_job("./churn/model.tar.gz")
    (('churn', 3), None)
    """
    match = _JOB_AT_VERSION.fullmatch(model)
    return (match[1], int(match[2])) if match and NAME_REGEX.fullmatch(match[1]) else None


def _check_model(value: str) -> str:
    if named_job(value) or stored_archive(value) or named_alias(value):
        return value
    if value.startswith("s3://") or "/" in value or value.endswith(".gz"):
        if not value.endswith(".tar.gz"):
            raise wrong(f"{quoted(value)} is not a model archive", "name a file that ends in .tar.gz, or job@version")
        return check_source(value)
    name = value.partition("@")[0]
    if not NAME_REGEX.fullmatch(name):
        raise wrong(
            f"{quoted(value)} does not name a model", "write job@version, e.g. churn@3, or the place of a model.tar.gz"
        )
    if "@" not in value:
        raise wrong(f"{quoted(value)} has no version", f"write job@version: {name}@1")
    raise wrong(f"{quoted(value)} does not end in a version", f"a version is a whole number from 1: {name}@1")


class Variant(SpecModel):
    """One model behind an endpoint, with its share of the traffic."""

    model_config = ConfigDict(json_schema_extra=_ONE_PROGRAM_FOR_ARCHIVES)

    name: Annotated[Name, Update.REPLACE] = Field(examples=["stable"])
    """Name that callers see as InvokedProductionVariant."""
    model: Annotated[str, AfterValidator(_check_model), Field(max_length=1024), Update.REPLACE] = Field(
        title="model",
        examples=["churn@3", "./model.tar.gz", "s3://acme/churn/model.tar.gz"],
        json_schema_extra={"pattern": r"(@[1-9][0-9]*|@[a-zA-Z][a-zA-Z0-9-]*|\.tar\.gz)$"},
    )
    """job@version, job@alias of a Model document, or your own model.tar.gz: a path (relative to the spec's file) or
    s3://…. `sagespec api` also writes store://…: an archive that it has put into the project's store."""
    weight: Annotated[float, Field(ge=0, le=1e9), Update.ROUTE] = 1.0
    """Share of the traffic, relative to the other variants."""
    instances: Annotated[int, Field(ge=1, le=100), Update.SCALE] = 1
    """Number of containers that serve this variant."""
    algorithm: Annotated[Name | None, Update.REPLACE] = None
    """The built-in that serves your own model; a job's model is served by what trained it."""
    framework: Annotated[Name | None, Update.REPLACE] = None
    """The framework that serves your own model, with the script in its code/ folder or with its defaults."""
    image: Annotated[ImageName | None, Update.REPLACE] = None
    """Container image that serves the model instead of the one that trained it."""
    entry_point: Annotated[EntryPoint | None, Update.REPLACE] = None
    """The script in the model's code/ folder that serves it (model_fn, …). Default: the training script."""
    accelerate: Annotated[Acceleration | None, Update.REPLACE] = None
    """`onnx`: a model of scikit-learn, XGBoost or LightGBM is converted when a container starts, and checked against
    the original, which serves where the two differ."""
    environment: Annotated[dict[EnvironmentName, ServingValue], Update.REPLACE] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Environment variables for the containers: text, or {secret: NAME} of a secret that sagespec.yaml names."""
    resources: Annotated[Resources, Update.REPLACE] = Resources()
    """Limits for each container."""

    @model_validator(mode="after")
    def _one_program(self) -> Variant:
        given = [name for name in PROGRAMS_OF_ARCHIVES if getattr(self, name)]
        if named_job(self.model) or named_alias(self.model):
            for name in ("algorithm", "framework"):
                if name in given:
                    raise wrong(
                        f"does not go with model {self.model}, which is served by what trained it",
                        f"remove {name}; your own container is named by image",
                        at=(name,),
                    )
        elif len(given) != 1:
            raise wrong(
                f"{quoted(self.model)} needs exactly one of algorithm, framework and image to serve it, "
                f"has {' and '.join(given) or 'none'}",
                "name a built-in (algorithm: xgboost, framework: pytorch) or a container (image: …)",
                at=("model",),
            )
        builtin = self.framework or self.algorithm
        if self.accelerate and (self.image or (builtin and not takes_acceleration(builtin))):
            served = f"{builtin} models" if builtin else "an image of your own"
            raise wrong(f"does not go with {served}", f"it needs {WHAT_TAKES_IT}; remove it", at=("accelerate",))
        if self.entry_point and self.algorithm:
            raise wrong("does not go with algorithm, which runs no script", "remove it", at=("entry_point",))
        return self


class Endpoint(DocumentSpec):
    """A name behind the gateway that serves predictions from one or more models."""

    kind: Literal["Endpoint"] = Field(examples=["Endpoint"])
    """What this document describes."""
    name: Annotated[Name, Update.REPLACE] = Field(examples=["churn"])
    """The name in POST /endpoints/<name>/invocations."""
    variants: tuple[Variant, ...] = Field(
        min_length=1, max_length=10, strict=False, examples=[[{"name": "stable", "model": "churn@1"}]]
    )
    """The models behind the endpoint, and how traffic is split between them."""
    split: Annotated[Split, Update.ROUTE] = Split()
    """How requests are divided between the variants: by their weights alone, or so that callers keep their variant."""
    when_down: Annotated[WhenDown, Update.ROUTE] = "fail"
    """What becomes of a variant's share while none of its instances is healthy: its requests fail, or the variant lends
    its share to the others (spread) until it is back."""
    limits: Annotated[Limits, Update.ROUTE] = Limits()
    """How many requests an instance is asked at once, and how many wait at the gateway."""
    rollout: Annotated[Rollout, Update.NONE] = Rollout()
    """How a change reaches callers."""
    compare: Annotated[Compare, Update.NONE] = Compare()
    """What `sagespec compare` compares the variants with, and how sure it is to be."""
    protect: Annotated[bool, Update.NONE] = False
    """Never prune or destroy this endpoint, even when its spec is gone."""

    @model_validator(mode="after")
    def _variants_make_sense(self) -> Endpoint:
        # Host names ignore case, so two variants may not differ in it alone.
        names = [variant.name.lower() for variant in self.variants]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise wrong(
                    f"an earlier variant is named {self.variants[names.index(name)].name}",
                    "give each variant its own name",
                    at=("variants", index, "name"),
                )
        if self.compare.control is not None and self.compare.control.lower() not in names:
            raise wrong(
                f"no variant is named {self.compare.control}",
                f"name one of {', '.join(variant.name for variant in self.variants)}",
                at=("compare", "control"),
            )
        if sum(variant.weight for variant in self.variants) <= 0:
            raise wrong(
                "all weights are 0, so no request would be served",
                "give at least one variant a weight above 0",
                at=("variants",),
            )
        check_rollout(self.rollout, [variant.instances for variant in self.variants])
        return self
