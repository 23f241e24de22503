"""The Source document: which branch of which repository a project is made from, and whom it trusts.

It is the root of trust, so it lies outside of the repository that it names: what a commit may not say stands here.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from sagespec.spec.approve import Approve
from sagespec.spec.document import DocumentSpec
from sagespec.spec.doors import File
from sagespec.spec.report import Report, Webhook
from sagespec.spec.runtimes import RuntimeName
from sagespec.spec.secrets import AnySecretSource
from sagespec.spec.values import Name, Place, Seconds, SpecModel, quoted, wrong

SHORTEST_INTERVAL_SECONDS = 1.0
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
# Of https://git-scm.com/docs/git-check-ref-format what people use.
_BRANCH = re.compile(r"(?![-/.])(?!.*(\.\.|//|@\{|\.lock$|[/.]$))[A-Za-z0-9._/+=@#-]{1,200}")
_TAGS = re.compile(r"(?!-)[A-Za-z0-9._/+*?-]{1,200}")


def _check_url(value: str) -> str:
    address = urlsplit(value)
    if not value.strip() or value.startswith("-") or "\0" in value:
        raise wrong(f"{quoted(value)} is not a repository's address", "write https://host/owner/repository.git")
    if "@" in address.netloc and ":" in address.netloc.rpartition("@")[0]:
        raise wrong("holds a password, which git would write into its files", "remove it, and name it in credentials")
    if address.scheme == "http" and address.hostname not in _LOCAL_HOSTS:
        raise wrong(f"{quoted(value)} is not encrypted: whoever is between could change commits", "write https://")
    scheme = value.partition("://")[0] if "://" in value else value.partition("::")[0] if "::" in value else "file"
    if scheme not in ("https", "http", "ssh", "file"):
        raise wrong(f"{quoted(scheme)} is not a way to fetch commits", "use https://, ssh:// or a path")
    return value


def _check_branch(value: str) -> str:
    if not _BRANCH.fullmatch(value):
        raise wrong(f"{quoted(value)} is not a branch", "write its name as git has it: main")
    return value


def _check_tags(value: str) -> str:
    if not _TAGS.fullmatch(value):
        raise wrong(f"{quoted(value)} is no pattern of tags", 'write one such as "v*"; the highest version counts')
    return value


def _check_folder(value: str) -> str:
    if value.startswith(("/", "~")) or ".." in value.split("/") or "\0" in value:
        raise wrong(f"{quoted(value)} is not a folder of the repository", "write it from the top of the repository")
    return value


def _check_interval(value: float) -> float:
    if value < SHORTEST_INTERVAL_SECONDS:
        raise wrong("is shorter than a second", "a minute is usual; a webhook brings a push at once")
    return value


class Verify(SpecModel):
    """Which signatures a commit must have. Only SSH signatures count."""

    signers: File = Field(examples=["/etc/sagespec/allowed_signers"])
    """The file of those who may sign, as ssh-keygen has it: a name, and a public key, on each line."""
    mode: Literal["head", "range", "tag"] = "head"
    """head: the newest commit. range: every commit since the applied one, along first parents. tag: the tag."""
    merge_signers: File | None = None
    """A second file, of those who may sign merge commits: the key of a forge that makes them."""


class Credentials(SpecModel):
    """What shows the repository's server who asks: a token, or a key."""

    secret: Name | None = Field(default=None, examples=["git-token"])
    """For https://, the secret that holds a token."""
    ssh_key: File | None = Field(default=None, examples=["/etc/sagespec/deploy_key"])
    """For ssh://, the file of a private key without a passphrase."""


class Allow(SpecModel):
    """What a commit may use of this machine beside the files of its own tree."""

    paths: tuple[File, ...] = Field(default=(), strict=False, examples=[["/data/churn"]])
    """Folders and files outside of the repository that its specs may name."""
    images: tuple[str, ...] | None = Field(default=None, strict=False, examples=[["ghcr.io/acme/*"]])
    """Images that its specs may name, with * for any text. Default: all."""
    build: bool = True
    """Whether its specs may have images built from folders of the repository."""
    commands: bool = False
    """Whether its sagespec.yaml may name a program that is run here beside sagespec: `policy`."""


class Pins(SpecModel):
    """What sagespec.yaml must say, whoever commits to it. Another value is an error."""

    name: Name | None = None
    """The project's name."""
    store: Place | None = None
    """The store's address, as sagespec.yaml has it."""
    runtime: RuntimeName | None = None
    """The engine."""
    host: str | None = Field(default=None, examples=["127.0.0.1"])
    """The address that the gateway listens on."""


class Source(DocumentSpec):
    """The repository that a project is made from: a file outside of it, for `watch`, `sync` and `source`."""

    kind: Literal["Source"] = Field(examples=["Source"])
    """What this document describes."""
    name: Name = Field(examples=["churn-prod"])
    """What it is called in messages and on the forge."""
    url: Annotated[str, AfterValidator(_check_url)] = Field(examples=["https://github.com/acme/models.git"])
    """The repository: https://, ssh:// or git@host:…, or a path on this machine."""
    branch: Annotated[str, AfterValidator(_check_branch)] = "main"
    """The branch that is followed."""
    tag: Annotated[str, AfterValidator(_check_tags)] | None = Field(default=None, examples=["v*"])
    """Instead of a branch: tags, of which the highest version is followed."""
    path: Annotated[str, AfterValidator(_check_folder)] = "."
    """The folder of sagespec.yaml in the repository."""
    environment: Name | None = Field(default=None, examples=["prod"])
    """The environment of the repository that is meant."""
    interval: Annotated[Seconds, AfterValidator(_check_interval)] = 60.0
    """How often the repository is asked; now a little sooner, now a little later."""
    verify: Verify | None = None
    """Which signatures commits must have. Default: none."""
    on_rewrite: Literal["hold", "follow"] | None = None
    """What happens when the branch's history was rewritten. Default: hold with verify, else follow."""
    prune: bool = False
    """Whether what a commit takes out of the specs is removed, as by `--prune`."""
    credentials: Credentials = Credentials()
    """How the repository is read, if not everybody may."""
    allow: Allow = Allow()
    """What its commits may use of this machine."""
    secrets: dict[Name, AnySecretSource] = Field(default_factory=dict, examples=[{"git-token": "file:/run/keys/git"}])
    """Where secrets are kept, those of the specs, too: what sagespec.yaml says of secrets does not count here, since a
    commit could name any file of this machine."""
    pin: Pins = Pins()
    """What its sagespec.yaml must say."""
    approve: Approve = Approve()
    """Which changes wait until somebody approves them. Default: none."""
    report: Report | None = None
    """Where it is shown beside each commit whether it was applied. Default: nowhere."""
    propose: bool = False
    """Whether a pull request gives each new model to its variant (`retrain.assign`) once it is trained. The token of
    `report` must be allowed to open pull requests then, and `credentials` to push."""
    webhook: Webhook | None = None
    """Where a forge says that somebody has pushed. Default: the repository is asked at each interval alone."""
    state_dir: File | None = Field(default=None, examples=["/var/lib/sagespec/churn-prod"])
    """Where the copy of the repository and the project's state are. Default: a folder of yours with the source's
    name, below ~/.local/state/sagespec."""

    @model_validator(mode="after")
    def _one_thing_is_followed(self) -> Source:
        if self.tag is not None and "branch" in self.model_fields_set:
            raise wrong("does not go with branch", "follow a branch, or tags", at=("tag",))
        if self.verify and self.verify.mode == "tag" and self.tag is None:
            raise wrong("is for tags", "name them: tag: v*", at=("verify", "mode"))
        if self.propose and (self.report is None or self.tag is not None):
            raise wrong("needs report and a branch", "name the forge in report, and follow a branch", at=("propose",))
        token = self.credentials.secret
        if token and not self.url.startswith(("https://", "http://")):
            raise wrong("is for https:// alone", "name ssh_key, or remove it", at=("credentials", "secret"))
        if token and token not in self.secrets:
            raise wrong(f"is no secret: {quoted(token)}", "add it under secrets", at=("credentials", "secret"))
        return self

    @property
    def own_secrets(self) -> frozenset[str]:
        """The secrets that the source itself uses: to read the repository, to tell the forge, to be told of pushes."""
        report, webhook = self.report, self.webhook
        forge = report and (report.github or report.gitea or report.gitlab)
        named = (self.credentials.secret, forge and forge.token.name, webhook and webhook.secret.name)
        return frozenset(name for name in named if name)

    @property
    def follows_rewrites(self) -> bool:
        return self.on_rewrite == "follow" if self.on_rewrite else self.verify is None
