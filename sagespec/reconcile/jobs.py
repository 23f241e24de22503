"""Training jobs: which run, are picked up, are done, stay failed, or are refused.

Called by `reconcile` for each job of the specs. A job is known by name and version, and its key holds all that
decides its result. A completed manifest settles it forever; a failed one until its spec or its data changes, or a retry
is asked for. Whose turn it is among those that may run is for `turns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sagespec.causes import Cause, Change, Reason
from sagespec.errors import Origin, Problem
from sagespec.ongoing import Running
from sagespec.plan import Action, RunJob
from sagespec.reconcile.able import why_no_run
from sagespec.reconcile.causes import changed_fields
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.imported import imported
from sagespec.reconcile.leaving import remove_containers
from sagespec.reconcile.promoted import promoted
from sagespec.state.desired import DesiredJob
from sagespec.state.faults import fix_for
from sagespec.state.hashes import same_hash
from sagespec.state.listing import differences
from sagespec.state.manifest import Input, JobStatus, Manifest
from sagespec.state.observed import EDITED, Container, ContainerState, Observed

SHOWN = 16  # characters of a fingerprint, as many as code has

Files = Mapping[str, Mapping[str, str]]  # behind a field of the key: short hashes by path


def reconcile_job(job: DesiredJob, given: Given) -> Decision:
    """What to do about one job of the specs."""
    observed = given.observed
    manifest = observed.manifests.get(job.address)
    containers = observed.containers_of(job.address)
    follower = observed.followers.get(job.address)
    if manifest and manifest.status is JobStatus.COMPLETED:
        return _trained(job, given, () if follower else containers)  # who stored the model removes them, too
    if follower and not follower.is_ours:
        return Decision(running=(Running(job.address, follower.by, follower.since, follower.reads_our_specs),))
    if of_another_spec(job, observed) and (follower or job.address not in observed.stops):
        return Decision(refused=_edited(job, given))
    if follower:
        return _followed(job, containers)
    if (given.models_from or not given.trains) and (decision := promoted(job, given)):
        return decision
    if job.imported_from:
        return imported(job, given)
    is_edited = job.address in observed.edited_inputs
    is_tried = is_edited or given.options.retries(job.address) or observed.unrecorded(job.address)
    if manifest and same_hash(job.key, manifest.key) and not is_tried:
        return _stays_failed(job, manifest, containers)
    return _to_be_run(job, observed)


def of_another_spec(job: DesiredJob, observed: Observed) -> tuple[Container, ...]:
    """The job's hosts, if they train by another spec of this version, or have ended well and are not collected yet.

    That work is not thrown away unasked: the spec was edited while it went on.
    """
    hosts = [c for c in observed.containers_of(job.address) if not c.address.is_companion]
    if any(same_hash(job.key, c.hash) for c in hosts):
        return ()
    manifest = observed.manifests.get(job.address)
    if manifest:
        later = observed.unrecorded(job.address)
        hosts = [c for c in hosts if not same_hash(manifest.key, c.hash) or c in later]
    runs = any(c.state in (ContainerState.RUNNING, ContainerState.RESTARTING) for c in hosts)
    return tuple(hosts) if runs or all(c.exit_code == 0 for c in hosts) else ()


def _edited(job: DesiredJob, given: Given) -> tuple[Problem, ...]:
    """One problem for each field that differs from what the job was started with, as far as that is known."""
    before = given.observed.started_with.get(job.address)
    files, (own, inherited) = before.files if before else {}, _own_and_inherited(job, given)
    found = [(change.field, _differs_from_start(change, job, files)) for change in own]
    unknown = [] if inherited else [("", "its spec has changed since it was started")]
    return (
        *(
            Problem(
                what=what,
                about=str(job.address),
                why="it continues as it was started: its work is not thrown away unasked",
                fix=f"set version: {given.next_version(job.name)} for the changed spec;"
                f" or end it with `sagespec stop {job.address}`; or undo the change, and it is picked up",
                where=_place(job, field),
            )
            for field, what in found or unknown
        ),
        *_like_one_that_changed(job, inherited),
    )


def _own_and_inherited(job: DesiredJob, given: Given) -> tuple[Sequence[Change], Sequence[Change]]:
    """The changes since the job was trained or started; apart those for which the job that it is like is refused."""
    other = given.wanted.get(job.like) if job.like else None
    theirs = _changes(other, given.observed) if other else ()
    mine = _changes(job, given.observed)
    return [change for change in mine if change not in theirs], [change for change in mine if change in theirs]


def _changes(job: DesiredJob, observed: Observed) -> tuple[Change, ...]:
    manifest, started = observed.manifests.get(job.address), observed.started_with.get(job.address)
    trained = manifest if manifest and manifest.status is JobStatus.COMPLETED else None
    before = trained or started
    if before is None or not before.key_fields or same_hash(job.key, before.key):
        return ()
    return _changed_fields(before.key_fields, job, trained)


def changes_since(before: Manifest, job: DesiredJob) -> tuple[Change, ...]:
    """What is another in the job's spec than in that of another version."""
    return _changed_fields(before.key_fields, job, before)


def _changed_fields(before: Mapping[str, Any], job: DesiredJob, manifest: Manifest | None) -> tuple[Change, ...]:
    """Under the names that the fields have in the spec: the key holds what a channel says of its columns apart."""
    specs = [job.spec, manifest.spec if manifest else {}]

    def named(field: str) -> str:
        section, _, name = field.partition(".")
        channels = ((c, said) for spec in specs for c, said in (spec.get("channels") or {}).items())
        where = (f"channels.{c}.{name}" for c, said in channels if section == "columns" and said.get(name))
        return next(where, field)

    changes = [replace(change, field=named(change.field)) for change in changed_fields(before, job.key_fields)]
    return tuple(replace(change, origin=job.field_origins.get(change.field)) for change in changes)


def _like_one_that_changed(job: DesiredJob, inherited: Sequence[Change]) -> tuple[Problem, ...]:
    """In few words: the fields are told of the other job, and what to do about it."""
    if not inherited:
        return ()
    other = f"{job.like.name}@{job.like.version}" if job.like else ""
    return (
        Problem(
            what=f"it is like {other}, which changed: {', '.join(change.field for change in inherited)}",
            about=str(job.address),
            fix=f"see job/{other}",
            where=_place(job, "like"),
        ),
    )


def _place(job: DesiredJob, field: str) -> Origin | None:
    """Of the field, or of the nearest one around it that is written."""
    while field and field not in job.field_origins:
        field = field.rpartition(".")[0]
    return job.field_origins.get(field, job.origin)


def _differs_from_start(change: Change, job: DesiredJob, before: Files) -> str:
    if change.secret:
        return f"{change.field} changed since it was started"
    if said := _files_that_differ(change.field, job, before):
        return f"{change.field} differs from what it was started with: {said}"
    return f"{change.field} is {change.new or 'not set'}, but it was started with {change.old or 'none'}"


def _followed(job: DesiredJob, containers: tuple[Container, ...]) -> Decision:
    """This run follows it: its task continues."""
    others = [c for c in containers if not same_hash(job.key, c.hash)]
    removals = remove_containers(others, Reason.FOLLOWS, "left over from another spec of this version")
    cause = Cause(Reason.ADOPTED, note="picked up: already running")
    return Decision(actions=(*removals, RunJob(about=job.address, cause=cause, after=_ids(removals), job=job)))


def _trained(job: DesiredJob, given: Given, containers: tuple[Container, ...]) -> Decision:
    manifest = given.observed.manifests[job.address]
    leftovers = remove_containers(containers, Reason.FOLLOWS, "its model is in the store")
    if same_hash(job.key, manifest.key):
        return Decision(actions=leftovers, unchanged=() if leftovers else (job.address,))
    return Decision(actions=leftovers, refused=_immutable(job, manifest, given))


def _immutable(job: DesiredJob, manifest: Manifest, given: Given) -> tuple[Problem, ...]:
    """One problem for each field that differs from what the version was trained with."""
    fix = f"set version: {given.next_version(job.name)}; endpoints that name {job.name}@{job.version} keep serving it"
    why = f"a version is immutable, so that {job.name}@{job.version} is the same model for everyone"
    own, inherited = _own_and_inherited(job, given)
    return (
        *(
            Problem(
                what=_differs(change, job, manifest),
                about=str(job.address),
                why=f"{why}; all files in its folder count, but those that .sagespecignore names"
                if change.field == "code"
                else why,
                fix=fix,
                where=_place(job, change.field),
            )
            for change in own
        ),
        *_like_one_that_changed(job, inherited),
    )


def _differs(change: Change, job: DesiredJob, manifest: Manifest) -> str:
    version = job.version
    if change.secret:
        return f"{change.field} changed since version {version} was trained"
    if said := _files_that_differ(change.field, job, manifest.files):
        return f"{change.field} differs from what version {version} was trained with: {said}"
    return f"{change.field} is {change.new or 'not set'}, but version {version} was trained with {change.old or 'none'}"


def _files_that_differ(field: str, job: DesiredJob, before: Files) -> str:
    """For people; '' where an earlier release, or more files than are kept, leave it unknown."""
    return differences(before.get(field, {}), job.files.get(field, {}))


def _stays_failed(job: DesiredJob, manifest: Manifest, containers: tuple[Container, ...]) -> Decision:
    problem = Problem(
        what=manifest.headline,  # the rest, a traceback perhaps, was reported when it failed
        about=str(job.address),
        why=f"a {manifest.status} job is not retried automatically",
        fix=fix_for(manifest.reason, job.address),
        where=job.origin,
    )
    leftovers = remove_containers(containers, Reason.FOLLOWS, "the job failed; its logs are in the store")
    return Decision(actions=leftovers, refused=(problem,))


def _to_be_run(job: DesiredJob, observed: Observed) -> Decision:
    containers, manifest = observed.containers_of(job.address), observed.manifests.get(job.address)
    later = observed.unrecorded(job.address)
    ours = tuple(c for c in containers if same_hash(job.key, c.hash) and (manifest is None or c in later))
    hosts = [c for c in ours if not c.address.is_companion]
    whole = len(hosts) == job.instances and all(c.state is not ContainerState.CREATED for c in ours)
    if whole:
        others = [c for c in containers if c not in ours]
        removals = remove_containers(others, Reason.FOLLOWS, "left over from another spec of this version")
        cause = Cause(Reason.ADOPTED, note=_state_of(hosts))
    else:
        removals = remove_containers(containers, Reason.FOLLOWS, "left over from an interrupted run")
        cause = _cause_to_run(job, manifest, observed.edited_inputs.get(job.address, {}))
        if problems := why_no_run(job, observed):
            return Decision(actions=removals, refused=problems)
    run = RunJob(about=job.address, cause=cause, after=_ids(removals), job=job)
    return Decision(actions=(*removals, run))


def _ids(actions: Iterable[Action]) -> tuple[str, ...]:
    return tuple(action.id for action in actions)


def _cause_to_run(job: DesiredJob, manifest: Manifest | None, edited: Mapping[str, str]) -> Cause:
    """edited: data that is another now, by channel."""
    if manifest is None:
        return Cause(Reason.NEW, note="not trained yet")
    if edited:
        data = [_data_change(name, manifest.inputs[name], now) for name, now in sorted(edited.items())]
        return Cause(Reason.CHANGED, tuple(data), note="it failed before")
    if same_hash(job.key, manifest.key):
        return Cause(Reason.RETRIED, note=f"retried after: {manifest.reason}")
    changes = _changed_fields(manifest.key_fields, job, manifest)
    files = [f"{c.field}: {said}" for c in changes if (said := _files_that_differ(c.field, job, manifest.files))]
    return Cause(Reason.CHANGED, changes, note="; ".join(["it failed before", *files]))


def _data_change(channel: str, before: Input, now: str) -> Change:
    field = f"data of channel {channel}"
    return Change(field, "", now) if now == EDITED else Change(field, before.fingerprint[:SHOWN], now[:SHOWN])


def _state_of(containers: Iterable[Container]) -> str:
    running = sum(c.state is ContainerState.RUNNING for c in containers)
    return "picked up: already running" if running else "picked up: finished, results not stored yet"
