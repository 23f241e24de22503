"""The environment of a container with its secrets in it, made at the moment at which the container is.

Runtimes are given how a secret is opened; they keep none beyond what the engine itself keeps of a container.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from sagespec.errors import WorldError
from sagespec.spec.secrets import SECRETS_FOLDER, SecretUse, secrets_in

Open = Callable[[str], str]  # the secret of this name; WorldError when it cannot be had


def no_secrets(name: str) -> str:
    """For what is started without a project."""
    raise WorldError(f"there is no secret {name}", fix="name where it is kept, under secrets: in sagespec.yaml")


def variables_of(
    environment: Mapping[str, str | SecretUse], open_secret: Open, *, folder: str = SECRETS_FOLDER
) -> dict[str, str]:
    """folder: where the container finds the secrets that it gets as files."""
    found: dict[str, str] = {}
    for name, value in environment.items():
        if isinstance(value, str):
            found[name] = value
        elif value.as_file:
            found[f"{name}_FILE"] = f"{folder}/{value.name}"
        else:
            found[name] = open_secret(value.name)
    return found


def secret_files_of(environment: Mapping[str, str | SecretUse], open_secret: Open) -> dict[str, bytes]:
    """The files with secrets, by name."""
    uses = (use for use in secrets_in(environment) if use.as_file)
    return {use.name: open_secret(use.name).encode() for use in uses}


def secret_variables(environment: Mapping[str, str | SecretUse]) -> list[str]:
    """The variables that hold a secret, or name the file that does."""
    uses = ((name, use) for name, use in environment.items() if isinstance(use, SecretUse))
    return [f"{name}_FILE" if use.as_file else name for name, use in uses]


def learn(names: Iterable[str], open_secret: Open) -> None:
    """Have secrets masked, as far as they can be had: what a container prints may hold those it was given."""
    for name in names:
        with suppress(WorldError):
            open_secret(name)
