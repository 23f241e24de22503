"""Refuses to touch the containers of another checkout that has a store of its own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from sagespec.errors import SagespecError, WorldError
from sagespec.load.environments import environment_files
from sagespec.load.load import load
from sagespec.load.loaded import PROJECT_FILE
from sagespec.parts import Parts
from sagespec.state.observed import Container
from sagespec.stores.open import open_store


def refuse_others(parts: Parts, containers: Iterable[Container]) -> None:
    """WorldError that names the checkout whose containers these are, unless they are ours."""
    owners = {container.owner for container in containers if container.owner}
    if not owners:
        return  # of an earlier release, or of an engine where each checkout has its own
    ours, name = parts.owner, parts.settings.name
    for owner in sorted(owners):
        if not ours.is_same_as(owner, partial(_address_now, name, owner.address)):
            raise WorldError(
                f"the containers of project {name} on this engine are those of {owner.checkout} on {owner.host}, "
                f"whose store is {owner.address}",
                why=f"the store here is {ours.address}: two checkouts with a store each would undo each other's work",
                fix="give both the same `store:` in sagespec.yaml, or one of them another `name:`. To continue here, "
                "run `sagespec destroy` there first; if that checkout is gone for good: "
                f"docker rm -f $(docker ps -aqf label=sagespec.project={name})",
            )


def _address_now(project_name: str, before: str, checkout: str) -> str:
    """The address of the store that a checkout on this machine uses now; '' where there is none of this project."""
    root = Path(checkout)
    try:
        if not (root / PROJECT_FILE).is_file():
            return ""
        for environment in ("", *environment_files(root)):
            settings = load([], root, environment=environment, check_paths=False).project
            if settings.name == project_name:
                return open_store(settings.store, root=root).uri
        return ""
    except (SagespecError, OSError):
        return before  # it is being edited, or another user's: nothing says that it has changed
