"""Secrets that cannot be had: said in a plan, and refused before `apply` touches what needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from sagespec.errors import Origin, Problem, WorldError
from sagespec.parts import Parts
from sagespec.spec.secrets import SecretUse, secret_names
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.observed import Observed
from sagespec.state.revision import live_revision
from sagespec.verbs.able import to_be_begun

Environment = Mapping[str, str | SecretUse]


def with_secrets(parts: Parts, wanted: Desired, observed: Observed) -> Observed:
    """With what cannot be begun because a secret of it cannot be had."""
    return _with(without_secrets(parts.secrets.open, wanted, observed), observed)


def with_secrets_asked(parts: Parts, wanted: Desired, observed: Observed) -> Observed:
    """The same for a plan, which opens none: whoever may ask for versions alone can make it."""
    return _with(without_secrets(parts.secrets.asked_version, wanted, observed), observed)


def _with(found: Mapping[Address, Problem], observed: Observed) -> Observed:
    return replace(observed, unable={**found, **observed.unable}) if found else observed


def without_secrets(ask: Callable[[str], str], wanted: Desired, observed: Observed) -> dict[Address, Problem]:
    """What would be started now, or replaced, and has a secret that cannot be had."""
    found: dict[Address, Problem] = {}
    for address, where, environment in _to_be_started(wanted, observed):
        for name in secret_names(environment) if address not in found else ():
            try:
                ask(name)
            except WorldError as error:
                (problem,) = error.problems
                what = f"secret {name} cannot be had: {problem.what}"
                found[address] = Problem(what, str(address), problem.why, problem.fix, where)
                break
    return found


def notes_on_secrets(parts: Parts, wanted: Desired, refused: Collection[str]) -> tuple[str, ...]:
    """The secrets whose versions could not be asked, but for what is refused. refused: addresses."""
    endpoints = [endpoint for endpoint in wanted.endpoints if str(endpoint.address) not in refused]
    environments = (v.environment for endpoint in endpoints for v in endpoint.variants)
    used = {name for environment in environments for name in secret_names(environment)}
    asked = parts.secrets.unasked
    return tuple(
        f"secret {name} was not asked: {asked[name]}; it counts as unchanged" for name in sorted(used & asked.keys())
    )


def _to_be_started(wanted: Desired, observed: Observed) -> Iterator[tuple[Address, Origin | None, Environment]]:
    for job in to_be_begun(wanted, observed):
        yield job.address, job.origin, job.environment
    for endpoint in wanted.endpoints:
        live = live_revision(observed.revisions.get(endpoint.name, ()))
        if live is None or not same_hash(endpoint.hash, live.hash):
            for variant in endpoint.variants:
                yield endpoint.address, endpoint.origin, variant.environment
    for notebook in wanted.notebooks:
        has = observed.containers_of(notebook.address)
        if notebook.is_to_run and not any(same_hash(notebook.hash, container.hash) for container in has):
            yield notebook.address, notebook.origin, notebook.environment
