"""The helpers that the engine's command line keeps passwords of registries with, and those that are not installed.

A login of Docker Desktop leaves its name in config.json after Desktop is gone; nothing can be pulled or built then.
"""

from __future__ import annotations

import shutil

from docker import auth
from docker.credentials.errors import StoreError

from sagespec.errors import WorldError


def check_logins(reference: str = "") -> None:
    """WorldError when a helper is missing that pulling `reference` needs; without one: that any build needs."""
    config = auth.load_config()
    if reference:
        registry, _ = auth.resolve_repository_name(reference)
        wanted = [config.get_credential_store(registry)]
    else:
        wanted = [config.creds_store, *config.cred_helpers.values()]
    for helper in wanted:
        if helper and not shutil.which(f"docker-credential-{helper}"):
            raise WorldError(
                f"docker-credential-{helper}, which is to give the password of a registry, is not installed",
                why="credsStore or credHelpers of Docker's config.json names it",
                fix="install it, or take it out of config.json (~/.docker, or DOCKER_CONFIG) and `docker login` again",
            )


def refused_login(error: StoreError) -> WorldError:
    return WorldError(
        f"the password of a registry could not be had: {error}",
        fix="see credsStore and credHelpers in Docker's config.json (~/.docker, or DOCKER_CONFIG)",
    )
