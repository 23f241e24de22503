"""The Endpoint document: variants, their share of the traffic, and how a change is rolled out.

`load` builds it from YAML, `resolve` turns it into a DesiredEndpoint; the schema and docs/spec.md come from its fields.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from sagespec.spec.document import DocumentSpec, Update
from sagespec.spec.job import Resources
from sagespec.spec.values import (
    NAME_REGEX,
    NO_OTHER_NAMES,
    EntryPoint,
    EnvironmentName,
    ImageName,
    Name,
    Seconds,
    SpecModel,
    Text,
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


def named_job(model: str) -> tuple[str, int] | None:
    """Name and version of the job whose model a variant's `model` names; None when it points to an archive.

    >>> named_job("churn@3"), named_job("./churn/model.tar.gz")
    (('churn', 3), None)
    """
    match = _JOB_AT_VERSION.fullmatch(model)
    return (match[1], int(match[2])) if match and NAME_REGEX.fullmatch(match[1]) else None


def _check_model(value: str) -> str:
    if named_job(value):
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
        json_schema_extra={"pattern": r"(@[1-9][0-9]*|\.tar\.gz)$"},
    )
    """job@version, or your own model.tar.gz: a path (relative to the spec's file) or s3://…."""
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
    environment: Annotated[dict[EnvironmentName, Annotated[Text, Field(max_length=1024)]], Update.REPLACE] = Field(
        default_factory=dict, max_length=100, json_schema_extra=NO_OTHER_NAMES
    )
    """Environment variables for the containers."""
    resources: Annotated[Resources, Update.REPLACE] = Resources()
    """Limits for each container."""

    @model_validator(mode="after")
    def _one_program(self) -> Variant:
        given = [name for name in PROGRAMS_OF_ARCHIVES if getattr(self, name)]
        if named_job(self.model):
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
        if self.entry_point and self.algorithm:
            raise wrong("does not go with algorithm, which runs no script", "remove it", at=("entry_point",))
        return self


class Rollout(SpecModel):
    """How a change of model reaches callers."""

    strategy: Annotated[Literal["all_at_once"], Update.NONE] = "all_at_once"
    """New containers, once healthy, take over all of the variant's traffic in one step."""
    healthy_within: Annotated[Seconds, Update.NONE] = 480.0
    """New containers must answer /ping within this time; SageMaker allows 8 minutes."""
    min_healthy: Annotated[Seconds, Update.NONE] = 1.0
    """New containers must then stay healthy this long before they get traffic."""
    drain_within: Annotated[Seconds, Update.NONE] = 70.0
    """Old containers get this long to finish their requests; a request may run for at most 60 s."""
    replace: Annotated[Literal["changed", "always"], Update.REPLACE] = "changed"
    """`always` starts new containers for every variant whenever the split changes."""


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
    rollout: Annotated[Rollout, Update.NONE] = Rollout()
    """How a change reaches callers."""
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
        if sum(variant.weight for variant in self.variants) <= 0:
            raise wrong(
                "all weights are 0, so no request would be served",
                "give at least one variant a weight above 0",
                at=("variants",),
            )
        return self
