"""Training jobs: which run, are picked up, are done, stay failed, or are refused.

Called by `reconcile` for each job of the specs. A job is known by name and version, and its key holds all that
decides its result. A completed manifest settles it forever; a failed one until its spec or its data changes, or a retry
is asked for. Whose turn it is among those that may run is for `turns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sagespec.errors import Problem
from sagespec.plan import Action, Cause, Change, Reason, RunJob, Running
from sagespec.reconcile.able import why_no_run
from sagespec.reconcile.causes import changed_fields
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.leaving import remove_containers
from sagespec.state.desired import DesiredJob
from sagespec.state.faults import fix_for
from sagespec.state.hashes import same_hash
from sagespec.state.listing import differences
from sagespec.state.manifest import AttemptsRecord, Input, JobStatus, Manifest
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
        return _trained(job, manifest, () if follower else containers)  # who stored the model removes them, too
    if follower and not follower.is_ours:
        return Decision(running=(Running(job.address, follower.by, follower.since, follower.reads_our_specs),))
    if of_another_spec(job, observed) and (follower or job.address not in observed.stops):
        return Decision(refused=_edited(job, observed.started_with.get(job.address)))
    if follower:
        return _followed(job, containers)
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


def _edited(job: DesiredJob, before: AttemptsRecord | None) -> tuple[Problem, ...]:
    """One problem for each field that differs from what the job was started with, as far as that is known."""
    changes = changed_fields(before.key_fields, job.key_fields) if before and before.key_fields else ()
    files = before.files if before else {}
    return tuple(
        Problem(
            what=what,
            about=str(job.address),
            why="it continues as it was started: its work is not thrown away unasked",
            fix=f"set version: {job.version + 1} for the changed spec; or end it with `sagespec stop {job.address}`;"
            " or undo the change, and it is picked up",
            where=job.field_origins.get(field, job.origin),
        )
        for field, what in [(change.field, _differs_from_start(change, job, files)) for change in changes]
        or [("", "its spec has changed since it was started")]
    )


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


def _trained(job: DesiredJob, manifest: Manifest, containers: tuple[Container, ...]) -> Decision:
    leftovers = remove_containers(containers, Reason.FOLLOWS, "its model is in the store")
    if same_hash(job.key, manifest.key):
        return Decision(actions=leftovers, unchanged=() if leftovers else (job.address,))
    return Decision(actions=leftovers, refused=_immutable(job, manifest))


def _immutable(job: DesiredJob, manifest: Manifest) -> tuple[Problem, ...]:
    """One problem for each field that differs from what the version was trained with."""
    fix = f"set version: {job.version + 1}; endpoints that name {job.name}@{job.version} keep serving it"
    why = f"a version is immutable, so that {job.name}@{job.version} is the same model for everyone"
    changes = changed_fields(manifest.key_fields, job.key_fields)
    return tuple(
        Problem(
            what=_differs(change, job, manifest),
            about=str(job.address),
            why=f"{why}; all files in its folder count, but those that .sagespecignore names"
            if change.field == "code"
            else why,
            fix=fix,
            where=job.field_origins.get(change.field, job.origin),
        )
        for change in changes
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
    changes = changed_fields(manifest.key_fields, job.key_fields)
    files = [f"{c.field}: {said}" for c in changes if (said := _files_that_differ(c.field, job, manifest.files))]
    return Cause(Reason.CHANGED, changes, note="; ".join(["it failed before", *files]))


def _data_change(channel: str, before: Input, now: str) -> Change:
    field = f"data of channel {channel}"
    return Change(field, "", now) if now == EDITED else Change(field, before.fingerprint[:SHOWN], now[:SHOWN])


def _state_of(containers: Iterable[Container]) -> str:
    running = sum(c.state is ContainerState.RUNNING for c in containers)
    return "picked up: already running" if running else "picked up: finished, results not stored yet"
