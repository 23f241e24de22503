"""The Model document: names for versions of a model, and what is known of them; a registry that is a file in git.

`load.aliases` puts the version in the place of an alias before anything else reads a spec; `verbs` refuse new uses of a
version that is rejected; `gc` keeps what is named here.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sagespec.spec.document import DocumentSpec
from sagespec.spec.values import Name, Text, quoted, wrong

_ALIAS = re.compile(r"(?!.*-$)[a-zA-Z][a-zA-Z0-9-]{0,62}")


def named_alias(model: str) -> tuple[str, str] | None:
    """Name and alias of the model that a variant's `model` names; None where it names a version or a place.

    >>> named_alias("churn@champion"), named_alias("churn@3"), named_alias("s3://b/m@x.tar.gz")
    (('churn', 'champion'), None, None)
    """
    name, at, alias = model.partition("@")
    return (name, alias) if at and "/" not in name and ":" not in name and _ALIAS.fullmatch(alias) else None


def _check_alias(value: str) -> str:
    if not _ALIAS.fullmatch(value):
        raise wrong(f"{quoted(value)} is no alias", "use letters, digits and hyphens, with a letter first: champion")
    return value


Alias = Annotated[str, AfterValidator(_check_alias)]
Version = Annotated[int, Field(ge=1, le=2**53)]


class Model(DocumentSpec):
    """What is known of the versions of a model: names for some, and which are not to be used."""

    kind: Literal["Model"] = Field(examples=["Model"])
    """What this document describes."""
    name: Name = Field(examples=["churn"])
    """The name of the jobs that train it."""
    aliases: dict[Alias, Version] = Field(default_factory=dict, max_length=100, examples=[{"champion": 3}])
    """Names for versions. `model: churn@champion` of a variant is the version that stands here."""
    rejected: dict[str, Annotated[Text, Field(min_length=1, max_length=1024)]] = Field(
        default_factory=dict, max_length=1000, examples=[{"churn@2": "leaks the label"}]
    )
    """Versions that no endpoint may begin to serve, with the reason. What serves one already is left alone."""
    protect: tuple[Version, ...] = Field(default=(), strict=False, max_length=1000, examples=[[1]])
    """Versions that `sagespec gc` keeps, whether or not anything names them."""

    @model_validator(mode="after")
    def _rejects_its_own(self) -> Model:
        for name in self.rejected:
            if not re.fullmatch(rf"{re.escape(self.name)}@[1-9][0-9]{{0,15}}", name):
                raise wrong(
                    f"{quoted(name)} is no version of {self.name}", f"write {self.name}@2: …", at=("rejected", name)
                )
        return self
