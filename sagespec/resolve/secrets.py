"""The secrets that a spec uses: that sagespec.yaml names each, and which versions they are of.

Called by `endpoints`, `jobs` and `notebooks`. A secret that cannot be asked has no version, and then counts as
unchanged; only that it has no place is a mistake in a spec.
"""

from __future__ import annotations

from collections.abc import Mapping

from sagespec.errors import Problem, did_you_mean
from sagespec.load.loaded import LoadedSpec
from sagespec.resolve.facts import Facts
from sagespec.spec.secrets import SecretUse, secrets_in, variable_for


def check_secrets(environment: Mapping[str, str | SecretUse], field: str, item: LoadedSpec, facts: Facts) -> None:
    """Add a problem for each secret that has no place. field: the environment's."""
    for name, use in environment.items():
        if isinstance(use, SecretUse) and use.name not in facts.known_secrets:
            what = f"{field}.{name} names the secret {use.name}, which sagespec.yaml does not have"
            near = did_you_mean(use.name, facts.known_secrets)
            fix = near or f"say there where it is kept: secrets: {{{use.name}: env:{variable_for(use.name)}}}"
            where = item.origin_of(f"{field}.{name}")
            facts.problems.append(Problem(what, about=str(item.address), fix=fix, where=where))


def versions_of(environment: Mapping[str, str | SecretUse], facts: Facts) -> dict[str, str]:
    """By name; none where one of them could not be asked, as then nothing tells whether they are what is live."""
    names = {use.name for use in secrets_in(environment) if use.name in facts.known_secrets}
    found = {name: facts.secret_version(name) for name in sorted(names)}
    return found if all(found.values()) else {}
