"""Compares the specs with reality: loads, resolves and observes, validates the specs, and makes the plan.

The first half of every verb: `snapshot` is what `apply`, `status` and the others begin with. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagespec.display import Displayed
from sagespec.errors import SpecError, WorldError
from sagespec.load.checkout import git_lock, not_checked_out
from sagespec.load.files import left_out, shown_name
from sagespec.load.loaded import Loaded
from sagespec.load.once import told_once
from sagespec.load.references import missing_paths
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.reconcile.options import Options
from sagespec.records.leases import AtWork
from sagespec.resolve.facts import SecretVersion, Started, not_asked
from sagespec.resolve.resolve import empty_desired, resolve, wanted_manifests
from sagespec.runtimes.opened import Open, no_secrets
from sagespec.spec.endpoint import stored_archive
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import AttemptsRecord, JobStatus, Manifest
from sagespec.state.observed import Observed
from sagespec.state.programs import Builtin
from sagespec.stores.open import open_store
from sagespec.verbs.able import unable, without_data, wrong_data
from sagespec.verbs.archives import archives_of
from sagespec.verbs.code import notes_on_code
from sagespec.verbs.edited import DataNow, edited_inputs
from sagespec.verbs.elsewhere import trained_elsewhere, without_spec
from sagespec.verbs.live_models import with_live_models
from sagespec.verbs.locked import judge_of, refuse_other_runtime
from sagespec.verbs.models_changed import asked_for, live_records, notes_on_models
from sagespec.verbs.names import left_under_old_names
from sagespec.verbs.new_versions import with_versions
from sagespec.verbs.only import load_only
from sagespec.verbs.owners import refuse_others
from sagespec.verbs.refused_models import notes_on_rejected, refused_models
from sagespec.verbs.secrets import notes_on_secrets, with_secrets_asked
from sagespec.verbs.signed import why_unsigned
from sagespec.verbs.stale import stale_jobs
from sagespec.verbs.swept_places import swept_places

DESTROY = Options(prune=True, allow_empty=True, destroy=True)


@dataclass(frozen=True, repr=False)
class Validated(Displayed):
    """What `validate` checked. notes: what it could not check. environments: in which, where none was named."""

    jobs: int
    endpoints: int
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        found = {"jobs": self.jobs, "endpoints": self.endpoints}
        named = {"environments": list(self.environments)} if self.environments else {}
        return {"ok": True, **found, "files": list(self.files), "notes": list(self.notes), **named}


def load_specs(parts: Parts) -> Loaded:
    """The specs as written. SpecError with every problem of every file."""
    return parts.load()


def desired(
    parts: Parts,
    *,
    check_paths: bool = True,
    only: Collection[Address] | None = None,
    asks_secrets: bool = False,
) -> tuple[Desired, Mapping[Address, Manifest]]:
    """What the specs ask for, and the manifests that were read to find out. only: of these, and what they need.

    check_paths: SpecError when local data is missing that a job not trained yet would read, or a model
    archive. Data of trained jobs may be gone: the model is in the store. asks_secrets: for their versions, which takes
    time and rights; without them, no secret counts as rotated.
    """
    loaded = load_specs(parts) if only is None else load_only(parts, only)
    return desired_of(parts, loaded, check_paths=check_paths, asks_secrets=asks_secrets)


def desired_of(
    parts: Parts, loaded: Loaded, *, check_paths: bool, asks_secrets: bool = False
) -> tuple[Desired, Mapping[Address, Manifest]]:
    """The same of specs that are loaded already."""
    manifests = parts.records.manifests(wanted_manifests(loaded))
    done = _completed(manifests)
    unread = [item for item in loaded.specs if check_paths and item.address not in done]
    if swept := list(swept_places(parts, unread)):
        raise SpecError(told_once(swept, loaded.specs))

    def started(job: Address) -> Mapping[str, Any]:
        record = parts.records.attempts(job)
        return record.key_fields if record else {}

    version = parts.secrets.version if asks_secrets else not_asked
    found = _resolved(
        parts,
        loaded,
        {**manifests, **without_spec(parts, loaded, manifests)},
        started,
        check_paths=check_paths,
        version=version,
        open_secret=parts.secrets.open,
    )
    return found, manifests


def _resolved(
    parts: Parts,
    loaded: Loaded,
    manifests: Mapping[Address, Manifest],
    started: Started,
    *,
    check_paths: bool,
    version: SecretVersion = not_asked,
    open_secret: Open = no_secrets,
) -> Desired:
    done = _completed(manifests)
    read = [item for item in loaded.specs if check_paths and item.address not in done]
    missing = [problem for item in read for problem in missing_paths(item)]
    try:
        found = resolve(
            loaded,
            root=parts.root,
            home=parts.home,
            images=parts.images,
            manifests=manifests,
            fingerprint=partial(fingerprint_of, parts),
            started=started,
            secret_version=version,
            open_secret=open_secret,
        )
    except SpecError as wrong:
        raise SpecError(told_once([*missing, *wrong.problems], loaded.specs)) from None
    if missing:
        raise SpecError(told_once(missing, loaded.specs))
    return found


def _completed(manifests: Mapping[Address, Manifest]) -> set[Address]:
    return {address for address, manifest in manifests.items() if manifest.status is JobStatus.COMPLETED}


def fingerprint_of(parts: Parts, uri: str) -> str:
    if name := stored_archive(uri):  # which says what is in it
        if not parts.records.has_archive(name):
            fix = "restore the store, or name another model"
            raise WorldError(f"there is no {name} among the archives of {parts.store.uri}", fix=fix)
        return name
    with parts.waits.on(uri):
        entries = open_store(uri, root=parts.root, create=False).entries()
    name = uri.rpartition("/")[2]
    found = next((entry for entry in entries if entry.key == name), None)
    if found is None:  # others may begin so: model.tar.gz.sha256
        raise WorldError(f"there is no object {uri}", fix="check the address")
    return found.etag


def snapshot(
    parts: Parts,
    at_work: AtWork,
    *,
    check_paths: bool = True,
    only: Collection[Address] | None = None,
    asks_secrets: bool = False,
) -> tuple[Desired, Observed]:
    """Both sides, as of now. at_work: who is, as the run sees it that looks."""
    from sagespec.observe import observe
    from sagespec.reconcile.turns import needs_of, needs_of_endpoint
    from sagespec.serve.notebooks import silent_notebooks

    wanted, manifests = desired(parts, check_paths=check_paths, only=only, asks_secrets=asks_secrets)
    done = _completed(manifests)
    needing = any(needs_of(job) for job in wanted.jobs if job.address not in done)
    needing = needing or any(needs for endpoint in wanted.endpoints for _, needs in needs_of_endpoint(endpoint))
    observed = observe(parts.runtime, parts.gateway, parts.records, manifests, at_work, with_capacity=needing)
    refuse_others(parts, observed.containers)
    observed = with_live_models(parts, wanted, observed)
    started_with = _started_with(parts, wanted, observed)
    archives, unimportable = archives_of(parts, wanted, observed)
    observed = replace(
        observed,
        edited_inputs=edited_inputs(parts, wanted, observed),
        started_with=started_with,
        elsewhere=trained_elsewhere(parts, wanted, observed),
        archives=archives,
        silent=silent_notebooks(parts.root, observed.containers, is_here=parts.runtime.is_local),
        newest_versions=_newest_versions(parts, wanted, {a: manifests[a] for a in done} | dict(started_with)),
        unable=unable(parts.runtime, wanted, observed, parts.able)
        | unimportable
        | without_data(wanted, observed, parts.root)
        | refused_models(wanted, observed),
    )
    # The gateway that actions start: where no port is set, on the port that was just found.
    return replace(wanted, gateway_hash=parts.gateway.hash), observed


def _started_with(parts: Parts, wanted: Desired, observed: Observed) -> Mapping[Address, AttemptsRecord]:
    from sagespec.reconcile.jobs import of_another_spec

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
        manifests = {**manifests, **without_spec(parts, loaded, manifests)} if asks_store else manifests
    except WorldError as error:
        manifests, notes = {}, (f"the store was not asked: {error.problems[0].what}",)
    wanted, done = _resolved(parts, loaded, manifests, lambda _: {}, check_paths=True), _completed(manifests)
    wrong = [problem for j in wanted.jobs if j.address not in done and (problem := wrong_data(j, parts.root))]
    if wrong:
        raise SpecError(told_once(wrong, loaded.specs))
    notes += notes_on_code(wanted, done, parts.root)
    notes += _without_docker(parts, wanted, manifests, done)
    jobs = sum(item.address.kind == "job" for item in loaded.specs)
    return Validated(jobs, len(loaded.specs) - jobs, loaded.files, notes)


def _without_docker(
    parts: Parts, wanted: Desired, manifests: Mapping[Address, Manifest], done: Collection[Address]
) -> tuple[str, ...]:
    """What `plan` and `apply` would refuse here: containers of your own, where programs run as processes."""
    programs = [job.program for job in wanted.jobs if job.address not in done]
    programs += [variant.program for endpoint in wanted.endpoints for variant in endpoint.variants]
    with suppress(WorldError):  # no engine is no matter of the specs
        if any(not isinstance(program, Builtin) for program in programs) and not parts.runtime.runs_images:
            found = unable(parts.runtime, wanted, Observed(manifests=manifests), parts.able)
            return tuple(f"{address}: {problem.what}: plan and apply refuse it" for address, problem in found.items())
    return ()


def plan(
    parts: Parts,
    options: Options | None = None,
    *,
    only: Collection[Address] | None = None,
    data: DataNow | None = None,
) -> Plan:
    """only: of these alone, as `apply` with `only` would do it. data: how to look for what is stale."""
    from sagespec.reconcile.reconcile import reconcile

    parts.read_settings_again()  # a project stays open in `watch` or a notebook while its files are edited
    refuse_other_runtime(parts)
    if only is None:
        refuse_partial_prune(parts, options)
    else:
        options = replace(options or Options(), only=frozenset(map(str, only)), allow_empty=True)
    wanted, observed = snapshot(parts, parts.leases().look(), only=only, asks_secrets=True)
    observed = with_secrets_asked(parts, wanted, observed)
    found = judge_of(parts).judged(reconcile(wanted, observed, datetime.now(UTC), options))
    if unsigned := why_unsigned(parts):
        found = replace(found, refused=(*found.refused, unsigned))
    found = with_versions(found, parts, observed.revisions)
    on_code = notes_on_code(wanted, _completed(observed.manifests), parts.root)
    notes = (*left_under_old_names(parts), *on_code)
    notes = notes if only is None else ()
    on_models = notes_on_models(parts, live_records(observed.revisions), asked_for(wanted))
    more = (
        *notes_on_rejected(wanted, observed),
        *notes_on_secrets(parts, wanted, {one.about for one in found.refused}),
    )
    stale = stale_jobs(parts, wanted, observed, data)
    return replace(found, notes=(*found.notes, *notes, *on_models, *more), stale=stale)


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
    from sagespec.observe import observe

    observed = observe(parts.runtime, parts.gateway, parts.records, {}, at_work)
    refuse_others(parts, observed.containers)
    return empty_desired(parts.settings), observed


def plan_destroy(parts: Parts) -> Plan:
    from sagespec.reconcile.reconcile import reconcile

    refuse_other_runtime(parts)
    wanted, observed = bare_snapshot(parts, parts.leases().look())
    return reconcile(wanted, observed, datetime.now(UTC), DESTROY)
