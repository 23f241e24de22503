"""Addresses as people type them: short forms resolved against what is known."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile

from sagespec.errors import SagespecError, WorldError, did_you_mean
from sagespec.load.load import load_what_is_right
from sagespec.parts import Parts
from sagespec.spec.model import named_alias
from sagespec.state.addresses import GATEWAY, Address, endpoint_address, notebook_address


def known_addresses(parts: Parts) -> list[Address]:
    """Everything that may have printed something: in the specs, running, or in the store."""
    known = {GATEWAY, *(container.address for container in parts.runtime.containers())}
    known.update(parts.records.all_jobs(), map(endpoint_address, parts.records.endpoint_names()))
    with suppress(SagespecError):  # broken specs are no reason to hide the logs that may explain them
        loaded, _ = load_what_is_right(parts.specs, parts.root, parts.environment)
        known.update(item.address for item in loaded.specs)
    return sorted(known, key=lambda address: (address.whole, address.variant, address.instance or 0))


def running_address(parts: Parts, text: str) -> Address | None:
    """What runs and is meant by `text`, whatever else there is; found without the store, which may be away."""
    running = [GATEWAY, *(container.address for container in parts.runtime.containers())]
    return next((found for form in _forms(text) if (found := _find(form, running))), None)


def restartable(name: str) -> Address:
    """What `sagespec restart` means by a name: an endpoint, a notebook, or the gateway.

    >>> [str(restartable(name)) for name in ("churn", "endpoint/gateway", "gateway", "notebook/work")]
    ['endpoint/churn', 'endpoint/gateway', 'gateway', 'notebook/work']
    """
    if name.startswith("notebook/"):
        return notebook_address(name.removeprefix("notebook/"))
    return GATEWAY if name == str(GATEWAY) else endpoint_address(name.removeprefix("endpoint/"))


def with_variant(name: str) -> tuple[str, str]:
    """The name of an endpoint, and that of the variant behind it, '' where there is none.

    >>> with_variant("churn"), with_variant("endpoint/churn/candidate"), with_variant("notebook/work")
    (('churn', ''), ('endpoint/churn', 'candidate'), ('notebook/work', ''))
    """
    kind = next((kind for kind in ("endpoint/", "notebook/") if name.startswith(kind)), "")
    endpoint_name, _, variant = name.removeprefix(kind).partition("/")
    return kind + endpoint_name, variant


def with_version(parts: Parts, text: str) -> str:
    """churn@champion as churn@3, by the Model document; any other text as it is. WorldError for an unknown alias."""
    named = named_alias(text.removeprefix("job/"))
    if named is None:
        return text
    name, alias = named
    models = parts.load().registry
    known = {f"{model.name}@{one}": version for model in models for one, version in model.aliases.items()}
    if version := known.get(f"{name}@{alias}"):
        return f"job/{name}@{version}"
    fix = did_you_mean(f"{name}@{alias}", known) or "name a version"
    raise WorldError(f"no Model says what {name}@{alias} is", fix=fix)


def resolve_address(text: str, known: Sequence[Address]) -> Address:
    """The address meant by `text`, which may leave out the kind and, of a job, the version (the newest then).

    A bare name that is both an endpoint's and a job's means the endpoint while that has containers. WorldError
    when nothing is near it.
    """
    exact = next((found for form in _forms(text) if (found := _find(form, known))), None)
    job_name = text.removeprefix("job/")
    jobs = [address.whole for address in known if (address.kind, address.name) == ("job", job_name)]
    if exact and (exact != exact.whole or exact.kind != "endpoint" or text == str(exact) or not jobs):
        return exact
    if exact and any(address.whole == exact and address.instance is not None for address in known):
        return exact
    if jobs:
        return max(jobs)
    forms = [form for address in known for form in (str(address), str(address).partition("/")[2], address.name) if form]
    raise WorldError(
        f"there is nothing named {text}",
        fix=did_you_mean(text, forms) or "see `sagespec status` for the jobs and endpoints there are",
    )


def resolve_job(text: str, known: Sequence[Address]) -> Address:
    """As `resolve_address`, of the jobs alone; WorldError that says so for an endpoint."""
    names_endpoint = any(address.kind == "endpoint" and text.partition("/")[0] == address.name for address in known)
    names_job = any(address.kind == "job" and text.partition("@")[0] == address.name for address in known)
    if text.startswith("endpoint/") or (names_endpoint and not names_job):
        raise WorldError(
            f"{text} is an endpoint, and an endpoint is not stopped",
            fix="remove its spec and run `sagespec apply --prune`, or remove all by `sagespec destroy`",
        )
    return resolve_address(text, [address.whole for address in known if address.kind == "job"])


def leading_jobs(words: Sequence[str], known: Sequence[Address]) -> tuple[Address, ...]:
    """The jobs that the first words name, up to the first that names none.

    >>> churn = [Address.parse("job/churn@3"), Address.parse("job/churn@4")]
    >>> [str(job) for job in leading_jobs(["churn@4", "job/churn@3", "ndcg@5", "churn@3"], churn)]
    ['job/churn@4', 'job/churn@3']
    """
    jobs = {str(address.whole): address.whole for address in known if address.kind == "job"}
    named = [jobs.get(f"job/{word.removeprefix('job/')}") for word in words]
    return tuple(job for job in takewhile(bool, named) if job)


def _forms(text: str) -> tuple[str, ...]:
    """How the address may be spelt in full."""
    return text, f"endpoint/{text}", f"job/{text}", f"notebook/{text}"


def _find(text: str, known: Sequence[Address]) -> Address | None:
    """The address written as `text`, if it is valid and refers to something known."""
    try:
        address = Address.parse(text)
    except ValueError:
        return None
    forms = {form for one in known for form in (one, one.whole, replace(one, instance=None))}
    # A job's containers are gone when it has ended; its hosts may still be asked for.
    return address if address in forms or (address.kind == "job" and address.whole in forms) else None


def host_of(source: str) -> str:
    """What distinguishes the containers of one address: algo-1 for a job, stable#0 for an endpoint.

    >>> host_of("job/churn@3#0"), host_of("endpoint/churn/stable#1"), host_of("algo-1")
    ('algo-1', 'stable#1', 'algo-1')
    """
    kind, _, rest = source.partition("/")
    if kind == "job":
        return f"algo-{int(rest.partition('#')[2] or 0) + 1}"
    return rest.partition("/")[2] or source
