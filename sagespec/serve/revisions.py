"""Records that a revision of an endpoint is live.

Called by `apply.effects` for a RecordRevision.
"""

from __future__ import annotations

from sagespec.plan import RecordRevision
from sagespec.state.revision import Revision
from sagespec.world import World


def record_revision(action: RecordRevision, world: World) -> None:
    world.records.write_revision(
        Revision(
            endpoint=action.about.name,
            number=action.number,
            hash=action.endpoint_hash,
            status=action.status,
            asked=action.record,
            git=world.git,
            started_at=action.started_at,
            ended_at=world.clock.now(),
        )
    )
