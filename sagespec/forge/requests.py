"""How each forge is told the state of a commit, as requests of its API. Pure.

https://docs.github.com/rest/commits/statuses, https://docs.github.com/rest/deployments,
https://docs.gitea.com/api (repoCreateStatus), https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from sagespec.errors import SpecError
from sagespec.forge.statuses import CommitState, CommitStatus
from sagespec.spec.report import ForgeSettings, GitHubSettings, Report

Kind = Literal["github", "gitea", "gitlab"]

# GitLab has other words for the same.
_GITLAB = {CommitState.FAILURE: "failed", CommitState.ERROR: "failed"}
_DEPLOYMENT = {CommitState.PENDING: "in_progress"}
_GITHUB_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


@dataclass(frozen=True)
class ForgeRequest:
    method: Literal["GET", "POST", "PATCH", "PUT"]
    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Forge:
    """Where a repository is. context: which of several states of a commit is ours. environment: '' for none."""

    kind: Kind
    api: str
    repository: str
    context: str
    environment: str = ""
    link: str = ""
    deployments: bool = False

    @classmethod
    def of(cls, report: Report, url: str, *, name: str, environment: str) -> Forge:
        """name: of the source. SpecError where the repository on the forge does not follow from its address."""
        kind, settings = _of(report)
        host, path = host_and_path(url)
        api, repository = settings.api or (usual_api(kind, host) if host else ""), settings.repository or path
        if not api or not repository:
            raise SpecError(
                f"the repository on the forge does not follow from {url}",
                fix=f"name it in report.{kind}: {{repository: owner/name, api: https://…}}",
            )
        deployments = isinstance(settings, GitHubSettings) and settings.deployments
        context = f"sagespec/{name}"
        return cls(
            kind,
            api,
            repository,
            context,
            environment or name,
            link=report.link or "",
            deployments=deployments,
        )

    def status(self, status: CommitStatus, token: str) -> ForgeRequest:
        """Show the state beside the commit."""
        link = {"target_url": self.link} if self.link else {}
        if self.kind == "gitlab":
            state = _GITLAB.get(status.state, status.state.value)
            body = {"state": state, "name": self.context, "description": status.text, **link}
            url = f"{self.api}/projects/{quote(self.repository, safe='')}/statuses/{status.commit}"
            return ForgeRequest("POST", url, body, self.headers(token))
        body = {"state": status.state.value, "context": self.context, "description": status.text, **link}
        url = f"{self.api}/repos/{self.repository}/statuses/{status.commit}"
        return ForgeRequest("POST", url, body, self.headers(token))

    def find_deployment(self, commit: str, token: str) -> ForgeRequest:
        """The deployments of the commit in the environment: whoever made one may have been killed."""
        asked = urlencode({"sha": commit, "environment": self.environment})
        return ForgeRequest("GET", f"{self._deployments}?{asked}", None, self.headers(token))

    def make_deployment(self, commit: str, token: str) -> ForgeRequest:
        body = {
            "ref": commit,
            "environment": self.environment,
            "auto_merge": False,
            "required_contexts": [],
            "description": self.context,
        }
        return ForgeRequest("POST", self._deployments, body, self.headers(token))

    def deployment_status(self, number: int, status: CommitStatus, token: str) -> ForgeRequest:
        state = _DEPLOYMENT.get(status.state, status.state.value)
        link = {"environment_url": self.link} if self.link else {}
        body = {"state": state, "description": status.text, **link}
        return ForgeRequest("POST", f"{self._deployments}/{number}/statuses", body, self.headers(token))

    @property
    def _deployments(self) -> str:
        return f"{self.api}/repos/{self.repository}/deployments"

    def headers(self, token: str) -> dict[str, str]:
        """What shows the forge who asks."""
        if self.kind == "gitlab":
            return {"PRIVATE-TOKEN": token}
        if self.kind == "github":
            return {**_GITHUB_HEADERS, "Authorization": f"Bearer {token}"}
        return {"Authorization": f"token {token}"}


def settings_of(report: Report) -> ForgeSettings:
    return _of(report)[1]


def _of(report: Report) -> tuple[Kind, ForgeSettings]:
    if report.github:
        return "github", report.github
    if report.gitea:
        return "gitea", report.gitea
    assert report.gitlab is not None
    return "gitlab", report.gitlab


def usual_api(kind: Kind, host: str) -> str:
    match kind:
        case "github":
            return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
        case "gitea":
            return f"https://{host}/api/v1"
        case "gitlab":
            return f"https://{host}/api/v4"


def host_and_path(url: str) -> tuple[str, str]:
    """Of a repository's address; two '' for a path on this machine.

    >>> host_and_path("https://github.com/acme/models.git"), host_and_path("git@git.example.com:ml/acme/models.git")
    (('github.com', 'acme/models'), ('git.example.com', 'ml/acme/models'))
    """
    if scp := re.fullmatch(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)", url):
        host, path = scp[1], scp[2]
    else:
        address = urlsplit(url)
        if address.scheme not in ("https", "http", "ssh"):
            return "", ""
        host, path = address.hostname or "", address.path
    return host, path.strip("/").removesuffix(".git")
