"""One attempt at making an endpoint match its spec, as the store keeps it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sagespec.state.manifest import Git, Record

REVISION_FORMAT = 1


class RevisionStatus(StrEnum):
    LIVE = "live"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"


class Revision(Record):
    """One attempt at making an endpoint what was asked.

    A `live` revision that is followed by another live one is superseded; that is derived, never written.
    `asked` is `DesiredEndpoint.asked`, enough to serve it again. `instead_of` is set by a roll-back: the
    hash of what was live before, which is not put back until its spec changes.
    """

    format: int = REVISION_FORMAT
    endpoint: str
    number: int
    hash: str
    status: RevisionStatus
    asked: dict[str, Any]
    reason: str = ""
    instead_of: str = ""
    git: Git | None = None
    started_at: datetime
    ended_at: datetime | None = None


def live_revision(revisions: tuple[Revision, ...]) -> Revision | None:
    """The newest revision that went live, unless the endpoint was removed after it."""
    for revision in reversed(revisions):
        if revision.status is RevisionStatus.REMOVED:
            return None
        if revision.status is RevisionStatus.LIVE:
            return revision
    return None
