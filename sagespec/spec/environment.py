"""The Environment document, environments/NAME.yaml: what differs in one of the places where the specs run.

`load` puts it over sagespec.yaml and over the specs, and only then are these checked: what a patch may say is what they
may say.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sagespec.spec.document import DocumentSpec
from sagespec.spec.values import Name, Place, SpecModel, quoted, wrong

ENVIRONMENTS = "environments"  # the folder beside sagespec.yaml that holds one file each
NAMED_LISTS = ("variants", "metrics")  # fields of a document whose entries a map of names changes
ENVIRONMENT_VARIABLE = "SAGESPEC_ENV"
NOT_IN_THE_KEY = (
    "resources",
    "metrics",
    "checkpoints",
    "stopping",
    "retries",
    "protect",
)  # of a job: may always change
_ADDRESS = re.compile(r"(job/[a-zA-Z0-9-]{1,63}@[1-9][0-9]{0,9}|(endpoint|notebook|model)/[a-zA-Z0-9-]{1,63})")


def _check_address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise wrong(f"{quoted(value)} is not an address", "write endpoint/churn, job/churn@3 or notebook/work")
    return value


SpecAddress = Annotated[str, AfterValidator(_check_address)]


def _check_path(value: str) -> str:
    if not value.strip() or "://" in value or value.startswith("~"):
        raise wrong(f"{quoted(value)} is not a path", "name a file or folder, from sagespec.yaml: specs")
    return value


def _models_short_form(value: Any) -> Any:
    return {"environment": value} if isinstance(value, str) else value


class ModelsFrom(SpecModel):
    """Where models are trained that are served here: another environment, or another project's store."""

    environment: Name | None = Field(default=None, examples=["staging"])
    """An environment of this repository."""
    project: Name | None = Field(default=None, examples=["churn-staging"])
    """Or a project of another repository, with its `store`."""
    store: Place | None = Field(default=None, examples=["s3://acme-staging/sagespec"])
    """The store of that project."""

    @property
    def shown(self) -> str:
        """For people."""
        return f"environment {self.environment}" if self.environment else f"project {self.project}"

    @model_validator(mode="after")
    def _is_one_place(self) -> ModelsFrom:
        if bool(self.environment) == bool(self.project or self.store) or bool(self.project) != bool(self.store):
            raise wrong(
                "names no one place",
                "write an environment, such as staging, or {project: churn-staging, store: s3://acme-staging/sagespec}",
            )
        return self


class Environment(DocumentSpec):
    """One of the places where the specs run, as a project of its own: environments/NAME.yaml.

    Maps are merged field by field; `variants` and `metrics` are changed by a map of names; null takes away; all else
    replaces what the specs say.
    """

    kind: Literal["Environment"] = Field(examples=["Environment"])
    """What this document describes."""
    name: Name = Field(examples=["prod"])
    """What `--env` and SAGESPEC_ENV name it by; the file has that name, too."""
    project: dict[str, Any] = Field(default_factory=dict, examples=[{"store": "s3://acme-prod/sagespec"}])
    """What differs from sagespec.yaml. Its name, unless it is given here, is that of sagespec.yaml, a hyphen, and that
    of the environment. Paths start at sagespec.yaml."""
    specs: Annotated[tuple[Annotated[str, AfterValidator(_check_path)], ...], Field(strict=False, min_length=1)] = (
        "specs",
    )
    """Files and folders with its specs, from sagespec.yaml."""
    patches: dict[SpecAddress, dict[str, Any]] = Field(
        default_factory=dict, examples=[{"endpoint/churn": {"variants": {"stable": {"instances": 4}}}}]
    )
    """What differs from the specs, by address. Paths start at this file."""
    leave_out: Annotated[tuple[SpecAddress, ...], Field(strict=False)] = Field(
        default=(), examples=[["endpoint/experiment"]]
    )
    """Specs that are not in this environment."""
    models_from: Annotated[
        ModelsFrom | None, BeforeValidator(_models_short_form, json_schema_input_type=str | ModelsFrom | None)
    ] = None
    """Take models from there that are trained there by the same spec, instead of training them again."""
    jobs: Literal["train", "never"] = "train"
    """`never`: nothing is trained in this environment; a model that it cannot get is an error."""
    secrets: dict[str, Any] = Field(default_factory=dict, examples=[{"churn-db": "env:CHURN_DB"}])
    """Secrets that differ from those of sagespec.yaml, or that it lacks."""
