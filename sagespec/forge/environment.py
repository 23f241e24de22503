"""Which forge pull requests are opened on: as the environment says, as that of a workflow does by itself.

SAGESPEC_FORGE (github, gitea or gitlab), SAGESPEC_FORGE_API, SAGESPEC_FORGE_REPOSITORY and SAGESPEC_FORGE_TOKEN win
over what GitHub's, Gitea's, Forgejo's and GitLab's runners set. A token that is not named for sagespec goes to the
runner's own forge, to github.com or gitlab.com, or to SAGESPEC_FORGE_API, and not to whatever host a remote names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from sagespec.errors import WorldError
from sagespec.forge.pulls import Pulls
from sagespec.forge.requests import Forge, Kind, host_and_path, usual_api

KINDS = ("github", "gitea", "gitlab")
PUBLIC = {"github": "github.com", "gitlab": "gitlab.com"}


def pulls_of(environment: Mapping[str, str], url: str) -> Pulls | None:
    """None where there is no token. url: of the remote, from which host and repository follow if nothing else tells."""
    kind = environment.get("SAGESPEC_FORGE", "") or _kind(environment)
    if kind not in KINDS:
        raise WorldError(f"SAGESPEC_FORGE is {kind}", fix=f"set it to one of {', '.join(KINDS)}")
    host, path = host_and_path(url)
    is_gitlab = kind == "gitlab"
    api = _first(environment, "SAGESPEC_FORGE_API", "CI_API_V4_URL" if is_gitlab else "GITHUB_API_URL")
    names = ("GITLAB_TOKEN",) if is_gitlab else ("GITHUB_TOKEN", "GH_TOKEN")
    is_meant = bool(api) or host == PUBLIC.get(kind)
    token = _first(environment, "SAGESPEC_FORGE_TOKEN", *(names if is_meant else ()))
    if not token:
        return None
    repository = _first(
        environment, "SAGESPEC_FORGE_REPOSITORY", "CI_PROJECT_PATH" if is_gitlab else "GITHUB_REPOSITORY"
    )
    known = cast("Kind", kind)
    api, repository = api or (usual_api(known, host) if host else ""), repository or path
    if not api or not repository:
        raise WorldError(
            f"the repository on the forge does not follow from {url}",
            fix="set SAGESPEC_FORGE_API and SAGESPEC_FORGE_REPOSITORY (owner/name)",
        )
    return Pulls(Forge(known, api.rstrip("/"), repository, context=""), token)


def _kind(environment: Mapping[str, str]) -> str:
    if environment.get("GITLAB_CI"):
        return "gitlab"
    return "gitea" if environment.get("GITEA_ACTIONS") or environment.get("FORGEJO_ACTIONS") else "github"


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
