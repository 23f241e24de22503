"""What a person reads of a branch that is followed."""

from __future__ import annotations

from datetime import UTC, datetime

from sagespec.show.source import source_rows
from sagespec.state.source import SourceRecord, unreported

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
WHY = "POST https://git.example.com/api was answered 401: Bad credentials"


def test_a_forge_that_takes_no_states_is_shown_with_since_when_and_why() -> None:
    record = SourceRecord(url="https://git.example.com/models.git", branch="main")
    assert [row[0] for row in source_rows(record)] == ["follows"]
    refused = record.model_copy(update={"unreported": unreported(record, "away", AT)})
    refused = refused.model_copy(update={"unreported": unreported(refused, WHY, datetime.now(UTC))})
    assert source_rows(refused)[-1] == [
        "forge",
        (f"shows nothing new since 2026-12-01 12:00:00 UTC: {WHY}", "bad"),
    ]
    assert refused.model_dump(mode="json")["unreported"] == {"since": "2026-12-01T12:00:00Z", "why": WHY}
    assert unreported(refused, "", AT) is None
