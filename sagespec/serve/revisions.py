"""Records that a revision of an endpoint is live, or was removed.

Called by `apply.effects` for a RecordRevision.
"""

from __future__ import annotations

from sagespec.plan import RecordRevision
from sagespec.state.revision import Revision, RevisionStatus
from sagespec.world import World


def record_revision(action: RecordRevision, world: World) -> None:
    """The new revision first: killed after it, that is what counts, and the mark on the one before is for people."""
    name, records = action.about.name, world.records
    records.write_revision(
        Revision(
            endpoint=name,
            number=action.number,
            hash=action.endpoint_hash,
            status=action.status,
            asked=action.record,
            reason=action.reason,
            instead_of=action.instead_of,
            git=world.git(),
            engine=world.runtime.where,
            started_at=action.started_at,
            ended_at=world.clock.now(),
        )
    )
    for before in records.history(name) if action.rolled_back else ():
        if before.number == action.rolled_back:
            reason = "; ".join(filter(None, (before.reason, action.reason)))
            changes = {"status": RevisionStatus.ROLLED_BACK, "reason": reason, "ended_at": world.clock.now()}
            records.write_revision(before.model_copy(update=changes))
    if action.instead_of:
        records.forget_rollback(name)
    if action.is_restart:
        records.forget_restart(action.about)
