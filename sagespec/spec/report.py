"""Where the state of each commit is shown, and who says that there is a new one: parts of a Source."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from sagespec.spec.dashboard import Host
from sagespec.spec.secrets import SecretReference
from sagespec.spec.values import SpecModel, quoted, wrong

_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)+", re.ASCII)
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def check_api(value: str) -> str:
    address = urlsplit(value)
    if address.scheme not in ("https", "http") or not address.hostname or "@" in address.netloc:
        raise wrong(f"{quoted(value)} is not the address of an API", "write https://git.example.com/api/v1")
    if address.scheme == "http" and address.hostname not in _LOCAL_HOSTS:
        raise wrong(f"{quoted(value)} is not encrypted: the token could be read on its way", "write https://")
    return value.rstrip("/")


def _check_repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value):
        raise wrong(f"{quoted(value)} is not a repository on a forge", "write owner/name: acme/models")
    return value


class ForgeSettings(SpecModel):
    """A forge: who hosts the repository, and shows a state beside each commit."""

    token: SecretReference = Field(examples=[{"secret": "gh-status"}])
    """What lets sagespec write the state of commits: {secret: NAME}, of `secrets`."""
    repository: Annotated[str, AfterValidator(_check_repository)] | None = Field(default=None, examples=["acme/models"])
    """The repository on the forge. Default: from `url`."""
    api: Annotated[str, AfterValidator(check_api)] | None = None
    """The address of its API. Default: the usual one of the host in `url`."""


class GitHubSettings(ForgeSettings):
    """GitHub: a commit status, and a deployment of the environment."""

    deployments: bool = True
    """Whether a deployment is made for each commit that is applied, beside its status."""


class Report(SpecModel):
    """Where it is shown beside each commit whether it was applied. One forge."""

    github: GitHubSettings | None = None
    """GitHub, or GitHub Enterprise."""
    gitea: ForgeSettings | None = None
    """Gitea or Forgejo."""
    gitlab: ForgeSettings | None = None
    """GitLab."""
    link: Annotated[str, AfterValidator(check_api)] | None = Field(
        default=None, examples=["https://ml.example.com/dashboard"]
    )
    """An address that the state leads to: the dashboard's."""

    @model_validator(mode="after")
    def _one_forge(self) -> Report:
        if sum(forge is not None for forge in (self.github, self.gitea, self.gitlab)) != 1:
            raise wrong("needs exactly one of github, gitea and gitlab", "name the forge that has the repository")
        return self


class Webhook(SpecModel):
    """An address at which the forge says that somebody has pushed: the next look at the repository is made at once."""

    secret: SecretReference = Field(examples=[{"secret": "hook"}])
    """The secret that the forge was given, too: {secret: NAME}, of `secrets`."""
    host: Host = "127.0.0.1"
    """Address it listens on. Beyond this machine a proxy with TLS belongs before it."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9010
    """Port it listens on."""
