"""Records that a revision of an endpoint is live, was given up or removed, and how far a rollout has come.

Called by `apply.effects` for a RecordRevision and a RecordProgress.
"""

from __future__ import annotations

from sagespec.errors import WorldError
from sagespec.gateway.counting import readings_of
from sagespec.plan import RecordProgress, RecordRevision
from sagespec.state.counts import Counted
from sagespec.state.progress import Progress
from sagespec.state.revision import Revision, RevisionStatus
from sagespec.traffic.tallying import count_ended
from sagespec.world import World


def record_revision(action: RecordRevision, world: World) -> None:
    """The new revision first: killed after it, that is what counts, and the mark on the one before is for people."""
    name, records = action.about.name, world.records
    revision = Revision(
        endpoint=name,
        number=action.number,
        hash=action.endpoint_hash,
        status=action.status,
        asked=action.record,
        reason=action.reason,
        instead_of=action.instead_of,
        git=world.git(),
        by=world.jobs.by,
        engine=world.runtime.where,
        started_at=action.started_at,
        ended_at=world.clock.now(),
        rollout=action.rollout,
    )
    records.write_revision(revision)
    count_ended(revision, records, world.gateway)
    for before in records.history(name) if action.rolled_back else ():
        if before.number == action.rolled_back:
            reason = "; ".join(filter(None, (before.reason, action.reason)))
            changes = {"status": RevisionStatus.ROLLED_BACK, "reason": reason, "ended_at": world.clock.now()}
            records.write_revision(before.model_copy(update=changes))
    if action.instead_of:
        records.forget_rollback(name)
    if action.status is RevisionStatus.REMOVED:
        records.forget_removal(name)
    records.forget_retry(name)
    records.forget_rollout(name)
    if action.is_restart:
        records.forget_restart(action.about)


def record_progress(action: RecordProgress, world: World) -> None:
    """Of a rollout that begins, with what the gateway has counted until now, and who begins it."""
    progress = action.progress
    world.records.write_progress(progress if progress.looked_at else _begun(progress, world))


def _begun(progress: Progress, world: World) -> Progress:
    readings = readings_of(world.gateway, [progress.endpoint])
    if progress.endpoint not in readings:
        raise WorldError("the gateway does not say what it has counted", fix="see sagespec logs gateway")
    now, counted = world.clock.now(), Counted().after(readings[progress.endpoint])
    totals = {target: counted.of(target) for target in counted.targets}
    return progress.model_copy(
        update={
            "by": world.leases.by,
            "since": now,
            "begun": now,
            "looked_at": now,
            "counted": counted,
            "at_begin": totals,
            "at_step": totals,
        }
    )
