"""When which model had traffic, told from revisions alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagespec.state.revision import EndpointRecord, ModelRecord, Revision, RevisionStatus, VariantRecord
from sagespec.state.rollout import Ending, RolloutEnd
from sagespec.verbs.traces import stints_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(hour: int) -> datetime:
    return NOON + timedelta(hours=hour)


def revision(number: int, version: int, status: RevisionStatus, begun: int, ended: int, **fields: Any) -> Revision:
    model = ModelRecord(text=f"churn@{version}", job=f"job/churn@{version}")
    return Revision(
        endpoint="churn",
        number=number,
        hash=f"1-{number}",
        status=status,
        asked=EndpointRecord(variants=(VariantRecord(name="only", model=model),)),
        started_at=at(begun),
        ended_at=at(ended),
        **fields,
    )


def ended(ending: Ending) -> RolloutEnd:
    return RolloutEnd(ending=ending, strategy="canary", step=1, steps=2, share=0.1, begun=NOON)


def told(*revisions: Revision) -> list[tuple[str, int, datetime, datetime | None, bool]]:
    return [(str(job), s.revision, s.since, s.until, s.taken_back) for job, s in stints_of(revisions)]


def test_a_model_has_traffic_until_the_next_goes_live_or_the_endpoint_goes() -> None:
    live, removed = RevisionStatus.LIVE, RevisionStatus.REMOVED
    history = [revision(1, 1, live, 0, 1), revision(2, 2, RevisionStatus.FAILED, 2, 3), revision(3, 3, live, 4, 5)]
    assert told(*history) == [
        ("job/churn@1", 1, at(1), at(5), False),
        ("job/churn@3", 3, at(5), None, False),
    ]
    assert told(*history, revision(4, 3, removed, 6, 7))[-1] == ("job/churn@3", 3, at(5), at(7), False)


def test_what_was_rolled_back_ends_with_the_roll_back() -> None:
    back = [
        revision(1, 1, RevisionStatus.LIVE, 0, 1),
        revision(2, 2, RevisionStatus.ROLLED_BACK, 2, 5),
        revision(3, 1, RevisionStatus.LIVE, 4, 5),
    ]
    assert told(*back) == [
        ("job/churn@1", 1, at(1), at(2), False),
        ("job/churn@2", 2, at(2), at(5), False),
        ("job/churn@1", 3, at(5), None, False),
    ]


@pytest.mark.parametrize("ending", [Ending.TAKEN_BACK, Ending.ABORTED, Ending.CANCELLED])
def test_a_candidate_that_was_taken_back_had_traffic_beside_what_was_live(ending: Ending) -> None:
    status = RevisionStatus.ROLLED_BACK if ending is Ending.CANCELLED else RevisionStatus.FAILED
    found = told(
        revision(1, 1, RevisionStatus.LIVE, 0, 1),
        revision(2, 2, status, 2, 3, rollout=ended(ending)),
    )
    assert found == [("job/churn@1", 1, at(1), None, False), ("job/churn@2", 2, at(2), at(3), True)]
