"""What a project demands of every plan before it is carried out: sagespec.yaml's `require` and `policy`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sagespec.spec.values import Seconds, SpecModel


class Require(SpecModel):
    """What must be so, or nothing that the specs change is done."""

    signers: str | None = Field(default=None, min_length=1, examples=["/etc/sagespec/allowed_signers"])
    """The commit must be signed by one of these, and the files be as committed: a file as ssh-keygen has it, a name and
    a public key on each line. Relative to this file; outside of the repository, nobody who commits can change it."""
    max_removals: Annotated[int | None, Field(ge=0)] = None
    """How many endpoints, running jobs and notebooks `--prune` may remove at once. More, and none is removed."""


class Policy(SpecModel):
    """A program that decides whether a plan may be carried out."""

    command: tuple[str, ...] = Field(min_length=1, strict=False, examples=[["./ci/policy.sh"]])
    """The program and its arguments, started beside this file. It reads the plan as JSON, and allows it by ending with
    0; otherwise what it prints is the reason."""
    timeout: Seconds = 30.0
    """How long it may take. A policy that does not end allows nothing."""
