"""The row that history has for a revision on its way."""

from __future__ import annotations

from sagespec.verbs.changes import rows_of
from sagespec.verbs.rolling import as_revision
from tests.reconcile.test_rollouts import CANARY, Place


def test_a_revision_on_its_way_comes_last_with_what_it_changes_and_how_far_it_is() -> None:
    place = Place(CANARY)
    place.settle()
    assert place.progress
    rolling = as_revision(place.progress, place.revisions[-1])
    first, last = rows_of(place.revisions, rolling)
    assert (first.status, last.status) == ("live", "rolling"), "what is live is live until then"
    assert last.revision.number == 2
    assert last.revision.reason == "step 1 of 2 (10 %)"
    assert any("churn@1 -> churn@2" in change for change in last.changes)
    assert last.as_json()["status"] == "rolling"
