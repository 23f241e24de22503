"""Compares the specs with reality: loads, resolves and observes, validates the specs, and makes the plan.

The first half of every verb: `snapshot` is what `apply`, `status` and the others begin with. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagespec.errors import SpecError, WorldError
from sagespec.load.checkout import git_lock, not_checked_out
from sagespec.load.files import left_out, shown_name
from sagespec.load.load import load
from sagespec.load.loaded import Loaded
from sagespec.load.once import told_once
from sagespec.load.references import missing_paths
from sagespec.observe import observe
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.reconcile.jobs import of_another_spec
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.reconcile.turns import needs_of, needs_of_endpoint
from sagespec.records.leases import AtWork
from sagespec.resolve.facts import Started
from sagespec.resolve.resolve import empty_desired, resolve, wanted_manifests
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import AttemptsRecord, JobStatus, Manifest
from sagespec.state.observed import Observed
from sagespec.state.programs import Builtin
from sagespec.stores.open import open_store
from sagespec.verbs.able import unable, without_data, wrong_data
from sagespec.verbs.code import notes_on_code
from sagespec.verbs.edited import edited_inputs, notes_on_data
from sagespec.verbs.locked import refuse_other_runtime
from sagespec.verbs.names import left_under_old_names
from sagespec.verbs.owners import refuse_others

DESTROY = Options(prune=True, allow_empty=True, destroy=True)


@dataclass(frozen=True)
class Validated:
    """What `validate` checked. notes: what it could not check."""

    jobs: int
    endpoints: int
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        found = {"jobs": self.jobs, "endpoints": self.endpoints}
        return {"ok": True, **found, "files": list(self.files), "notes": list(self.notes)}


def load_specs(parts: Parts) -> Loaded:
    """The specs as written. SpecError with every problem of every file."""
    return load(parts.specs, parts.root, check_paths=False)


def desired(parts: Parts, *, check_paths: bool = True) -> tuple[Desired, Mapping[Address, Manifest]]:
    """What the specs ask for, and the manifests that were read to find out.

    check_paths: SpecError when local data is missing that a job not trained yet would read, or a model
    archive. Data of trained jobs may be gone: the model is in the store.
    """
    loaded = load_specs(parts)
    manifests = parts.records.manifests(wanted_manifests(loaded))

    def started(job: Address) -> Mapping[str, Any]:
        record = parts.records.attempts(job)
        return record.key_fields if record else {}

    return _resolved(parts, loaded, manifests, started, check_paths=check_paths), manifests


def _resolved(
    parts: Parts, loaded: Loaded, manifests: Mapping[Address, Manifest], started: Started, *, check_paths: bool
) -> Desired:
    done = _completed(manifests)
    read = [item for item in loaded.specs if check_paths and item.address not in done]
    missing = [problem for item in read for problem in missing_paths(item)]
    try:
        found = resolve(
            loaded,
            root=parts.root,
            images=parts.images,
            manifests=manifests,
            fingerprint=partial(_fingerprint, parts),
            started=started,
        )
    except SpecError as wrong:
        raise SpecError(told_once([*missing, *wrong.problems], loaded.specs)) from None
    if missing:
        raise SpecError(told_once(missing, loaded.specs))
    return found


def _completed(manifests: Mapping[Address, Manifest]) -> set[Address]:
    return {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}


def _fingerprint(parts: Parts, uri: str) -> str:
    with parts.waits.on(uri):
        entries = open_store(uri, create=False).entries()
    name = uri.rpartition("/")[2]
    found = next((entry for entry in entries if entry.key == name), None)
    if found is None:  # others may begin so: model.tar.gz.sha256
        raise WorldError(f"there is no object {uri}", fix="check the address")
    return found.etag


def snapshot(parts: Parts, at_work: AtWork, *, check_paths: bool = True) -> tuple[Desired, Observed]:
    """Both sides, as of now. at_work: who is, as the run sees it that looks."""
    wanted, manifests = desired(parts, check_paths=check_paths)
    done = _completed(manifests)
    needing = any(needs_of(job) for job in wanted.jobs if job.address not in done)
    needing = needing or any(needs for endpoint in wanted.endpoints for _, needs in needs_of_endpoint(endpoint))
    observed = observe(parts.runtime, parts.gateway, parts.records, manifests, at_work, with_capacity=needing)
    refuse_others(parts, observed.containers)
    started_with = _started_with(parts, wanted, observed)
    observed = replace(
        observed,
        edited_inputs=edited_inputs(parts, wanted, observed),
        started_with=started_with,
        newest_versions=_newest_versions(parts, wanted, {a: manifests[a] for a in done} | dict(started_with)),
        unable=unable(parts.runtime, wanted, observed, parts.able) | without_data(wanted, observed, parts.root),
    )
    # The gateway that actions start: where no port is set, on the port that was just found.
    return replace(wanted, gateway_hash=parts.gateway.hash), observed


def _started_with(parts: Parts, wanted: Desired, observed: Observed) -> Mapping[Address, AttemptsRecord]:
    keys = {c.address.whole: c.hash for job in wanted.jobs for c in of_another_spec(job, observed)}
    found = {address: parts.records.attempts(address) for address in keys}
    return {a: record for a, record in found.items() if record and same_hash(record.key, keys[a])}


def _newest_versions(
    parts: Parts, wanted: Desired, before: Mapping[Address, Manifest | AttemptsRecord]
) -> Mapping[str, int]:
    """Of the jobs whose spec is another than before; the store is not listed for others."""
    found = ((job, before.get(job.address)) for job in wanted.jobs)
    edited = {job.name for job, record in found if record and not same_hash(job.key, record.key)}
    return {job.name: job.version for job in parts.records.all_jobs() if job.name in edited} if edited else {}


def validate(parts: Parts, *, asks_store: bool = True) -> Validated:
    loaded = load_specs(parts)
    notes: tuple[str, ...] = ()
    try:
        manifests = parts.records.manifests(wanted_manifests(loaded) if asks_store else ())
    except WorldError as error:
        manifests, notes = {}, (f"the store was not asked: {error.problems[0].what}",)
    wanted, done = _resolved(parts, loaded, manifests, lambda _: {}, check_paths=True), _completed(manifests)
    wrong = [problem for j in wanted.jobs if j.address not in done and (problem := wrong_data(j, parts.root))]
    if wrong:
        raise SpecError(told_once(wrong, loaded.specs))
    notes += notes_on_code(wanted, done, parts.root)
    notes += _without_docker(parts, wanted, manifests)
    jobs = sum(item.address.kind == "job" for item in loaded.specs)
    return Validated(jobs, len(loaded.specs) - jobs, loaded.files, notes)


def _without_docker(parts: Parts, wanted: Desired, manifests: Mapping[Address, Manifest]) -> tuple[str, ...]:
    """What `plan` and `apply` would refuse here: containers of your own, where programs run as processes."""
    programs = [job.program for job in wanted.jobs if job.address not in _completed(manifests)]
    programs += [variant.program for endpoint in wanted.endpoints for variant in endpoint.variants]
    with suppress(WorldError):  # no engine is no matter of the specs
        if any(not isinstance(program, Builtin) for program in programs) and parts.runtime.name == "process":
            found = unable(parts.runtime, wanted, Observed(manifests=manifests), parts.able)
            return tuple(f"{address}: {problem.what}: plan and apply refuse it" for address, problem in found.items())
    return ()


def plan(parts: Parts, options: Options | None = None) -> Plan:
    parts.read_settings_again()  # a project stays open in `watch` or a notebook while its files are edited
    refuse_other_runtime(parts)
    refuse_partial_prune(parts, options)
    wanted, observed = snapshot(parts, parts.leases().look())
    found = reconcile(wanted, observed, datetime.now(UTC), options)
    on_code = notes_on_code(wanted, _completed(observed.manifests), parts.root)
    notes = (*left_under_old_names(parts), *on_code, *notes_on_data(wanted, observed, parts.root))
    return replace(found, notes=(*found.notes, *notes))


def refuse_partial_prune(parts: Parts, options: Options | None) -> None:
    """A part of the specs says nothing about what the others want."""
    if not options or not options.prune:
        return
    files = [path for path in parts.specs if path.is_file()]
    others = [] if files else left_out(parts.specs, parts.root)
    if files or others:
        by = "the other files define" if files else f"{shown_name(others[0], parts.root)} defines"
        raise SpecError(
            f"--prune with -f {shown_name((files or parts.specs)[0], parts.root)} would remove everything that {by}",
            why="only all of the specs together show what none of them names",
            fix="leave out -f, or give the folder that holds them all",
        )
    if missing := not_checked_out(parts.specs, parts.root):
        raise SpecError(
            f"--prune would remove everything that {missing[0]} defines",
            why="git has it, but it is not checked out here",
            fix="`git submodule update --init`, or `git sparse-checkout add` for what is left out of a sparse checkout",
        )


def why_unsettled(parts: Parts) -> str:
    """Why a spec may be missing although nobody took it away; '' when there is no reason to think so."""
    if lock := git_lock(parts.specs):
        return f"it stays while git is running ({lock} is there; delete it if no git runs)"
    if missing := not_checked_out(parts.specs, parts.root):
        return f"it stays while {missing[0]}, which git has, is not checked out"
    return ""


def bare_snapshot(parts: Parts, at_work: AtWork) -> tuple[Desired, Observed]:
    """Reality without any specs: what `destroy` is planned from."""
    observed = observe(parts.runtime, parts.gateway, parts.records, {}, at_work)
    refuse_others(parts, observed.containers)
    return empty_desired(parts.settings), observed


def plan_destroy(parts: Parts) -> Plan:
    refuse_other_runtime(parts)
    wanted, observed = bare_snapshot(parts, parts.leases().look())
    return reconcile(wanted, observed, datetime.now(UTC), DESTROY)
