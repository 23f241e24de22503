"""History as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

from sagespec.show.history import write_history
from sagespec.state.manifest import Attempt, Git, JobStatus, Manifest
from sagespec.state.revision import EndpointRecord, Revision, RevisionStatus
from sagespec.verbs.history import Recorded, Revisions
from tests.show.screens import CHURN, NOW, a_screen, out


def a_revision(number: int, status: RevisionStatus, weight: float, **fields: Any) -> Revision:
    variant = {
        "name": "stable",
        "model": {"text": "churn@1", "identity": "x", "job": "job/churn@1", "uri": ""},
        "program": {"builtin": "xgboost", "image": ""},
        "weight": weight,
        "instances": 1,
        "environment": {"TOKEN": "hunter2"},
        "cpus": None,
        "memory": None,
    }
    rollout = {"replace": "changed"}
    asked = EndpointRecord.model_validate({"variants": [variant], "rollout": rollout, "protect": False})
    return Revision(
        endpoint="churn", number=number, hash=str(number), status=status, asked=asked, started_at=NOW, **fields
    )


def test_history_derives_superseded_and_what_changed() -> None:
    git = Git(commit="5b2f01c99", dirty=True)
    revisions = (
        a_revision(1, RevisionStatus.LIVE, 100, git=git),
        a_revision(2, RevisionStatus.ROLLED_BACK, 50, reason="too many errors"),
        a_revision(3, RevisionStatus.LIVE, 100),
    )
    screen = a_screen(format="json")
    write_history(screen, Recorded({CHURN: Revisions(revisions)}, ()))
    rows = json.loads(out(screen))["endpoints"][0]["revisions"]
    assert [(row["status"], row["changes"]) for row in rows] == [
        ("superseded", ["first"]),
        ("rolled_back", ["weight of stable 100 -> 50"]),
        ("live", ["weight of stable 50 -> 100"]),
    ]
    text = a_screen()
    write_history(text, Recorded({CHURN: Revisions(revisions)}, ()))
    assert "5b2f01c+" in out(text)
    assert "weight of stable 100 -> 50; too many errors" in out(text)
    assert "hunter" not in out(text) + out(screen)


def test_a_removed_endpoint_has_nothing_live() -> None:
    screen = a_screen(format="json")
    revisions = (a_revision(1, RevisionStatus.LIVE, 1), a_revision(2, RevisionStatus.REMOVED, 1))
    write_history(screen, Recorded({CHURN: Revisions(revisions)}, ()))
    rows = json.loads(out(screen))["endpoints"][0]["revisions"]
    assert [row["status"] for row in rows] == ["superseded", "removed"]


def test_a_jobs_history_tells_how_its_earlier_attempts_ended() -> None:
    first = Attempt(number=1, started_at=NOW, ended_at=NOW, seconds=20.8, reason="InternalServerError: killed")
    last = Attempt(number=2, started_at=NOW, ended_at=NOW, seconds=3)
    screen = a_screen()
    manifest = Manifest(
        project="acme",
        name="churn",
        version=3,
        key="1-a",
        key_fields={},
        spec={},
        status=JobStatus.COMPLETED,
        started_at=NOW,
        ended_at=NOW,
        attempts=(first, last),
    )
    write_history(screen, Recorded({}, (manifest,)))
    assert "  attempt 1        21 s, InternalServerError: killed\n" in out(screen)
    assert "attempt 2" not in out(screen)
