"""Pull requests of a forge (merge requests of GitLab): found by their branch, opened, edited.

https://docs.github.com/rest/pulls/pulls, https://docs.gitea.com/api (repoListPullRequests),
https://docs.gitlab.com/api/merge_requests
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from sagespec.errors import WorldError
from sagespec.forge.reporter import ask_forge
from sagespec.forge.requests import Forge, ForgeRequest

PAGE = 50
_GITLAB_NAMES = {"title": "title", "body": "description", "head": "source_branch", "base": "target_branch"}


@dataclass(frozen=True)
class Pull:
    """One pull request. is_merged: whether it was closed by a merge. closed_at: where the forge says when."""

    number: int
    title: str
    body: str
    url: str
    is_open: bool
    is_merged: bool
    closed_at: datetime | None = None


@dataclass(frozen=True)
class Pulls:
    """Those of one repository."""

    forge: Forge
    token: str = field(repr=False)
    ask: Callable[[ForgeRequest], Any] = ask_forge

    def of_branch(self, branch: str) -> list[Pull]:
        """Those that ask for a branch to be merged, the newest first, closed ones included."""
        if self.forge.kind == "gitlab":
            asked = {"source_branch": branch, "state": "all", "order_by": "created_at", "per_page": PAGE}
        elif self.forge.kind == "github":
            owner = self.forge.repository.partition("/")[0]
            asked = {"head": f"{owner}:{branch}", "state": "all", "per_page": PAGE}
        else:
            asked = {"state": "all", "sort": "recentupdate", "limit": PAGE}  # it knows no filter by branch
        found = self.ask(ForgeRequest("GET", f"{self._place}?{urlencode(asked)}", None, self._headers))
        with _as_said(self._place):
            pulls = [_pull(one) for one in found if _branch_of(one) == branch]
        return sorted(pulls, key=lambda pull: pull.number, reverse=True)

    def open(self, branch: str, base: str, *, title: str, body: str) -> Pull:
        return self._said("POST", self._place, {"title": title, "body": body, "head": branch, "base": base})

    def edit(self, pull: Pull, *, title: str, body: str) -> Pull:
        method = "PUT" if self.forge.kind == "gitlab" else "PATCH"
        return self._said(method, f"{self._place}/{pull.number}", {"title": title, "body": body})

    def _said(self, method: Any, url: str, fields: Mapping[str, str]) -> Pull:
        if self.forge.kind == "gitlab":
            fields = {_GITLAB_NAMES[name]: value for name, value in fields.items()}
        said = self.ask(ForgeRequest(method, url, fields, self._headers))
        with _as_said(url):
            return _pull(said)

    @property
    def _place(self) -> str:
        if self.forge.kind == "gitlab":
            return f"{self.forge.api}/projects/{quote(self.forge.repository, safe='')}/merge_requests"
        return f"{self.forge.api}/repos/{self.forge.repository}/pulls"

    @property
    def _headers(self) -> Mapping[str, str]:
        return self.forge.headers(self.token)


@contextmanager
def _as_said(url: str) -> Iterator[None]:
    """WorldError where what was answered is no pull request."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "check SAGESPEC_FORGE and SAGESPEC_FORGE_API: is it that forge?"
        raise WorldError(f"{url} did not answer with pull requests", why=repr(error), fix=fix) from error


def _pull(said: Mapping[str, Any]) -> Pull:
    is_gitlab = "iid" in said
    return Pull(
        number=int(said["iid"] if is_gitlab else said["number"]),
        title=str(said["title"]),
        body=str((said.get("description") if is_gitlab else said.get("body")) or ""),
        url=str(said.get("web_url") if is_gitlab else said.get("html_url")),
        is_open=said["state"] in ("open", "opened"),
        is_merged=said["state"] == "merged" or bool(said.get("merged_at")),
        closed_at=_time(said.get("closed_at")),
    )


def _time(text: object) -> datetime | None:
    """Of the forms of ISO 8601 that forges write."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) and text else None
    return None


def _branch_of(said: Mapping[str, Any]) -> str:
    return str(said.get("source_branch") or (said.get("head") or {}).get("ref", ""))
