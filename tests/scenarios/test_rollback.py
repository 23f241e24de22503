"""A roll-back brings back what it says, whatever the spec says by then: what one presses in an incident."""

from __future__ import annotations

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

JOBS = job(1) + job(2) + job(3)


def serving(version: int, extra: str = "") -> str:
    return JOBS + endpoint(f"only model@{version} 1{extra}", rollout="{healthy_within: 5s, min_healthy: 0s}")


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    """Revisions 1, 2 and 3 serve model@1, model@2 and model@3, one after the other."""
    for version in (1, 2, 3):
        workspace.write(serving(version))
        workspace.run("apply")
    return workspace


def models(workspace: Workspace) -> list[str]:
    """What serves, as its containers have it."""
    with workspace.project() as project:
        live = project.history("answers")
        newest = next(revision for revision in reversed(live) if revision.status == "live")
        hashes = {c.hash for c in project.parts.runtime.containers() if c.address.kind == "endpoint"}
        assert len(hashes) == 1, "one variant, one hash"
        return [variant.model.text for variant in newest.asked.variants]


def statuses(workspace: Workspace) -> list[str]:
    (history,) = workspace.json("history", "answers")["endpoints"]
    return [revision["status"] for revision in history["revisions"]]


def test_it_goes_back_whatever_the_spec_says_and_never_forward(served: Workspace) -> None:
    served.run("rollback", "answers", "--reason", "3 is bad")
    assert models(served) == ["model@2"]
    served.run("rollback", "answers", "--reason", "2 is bad, too")
    assert models(served) == ["model@1"]
    refused = served.run("rollback", "answers", code=1)
    assert "every earlier revision was rolled back" in refused.stderr
    served.run("rollback", "answers", "--to", "3")
    assert models(served) == ["model@3"]
    assert served.json("apply")["outcomes"] == [], "the spec stays aside, and that is no failure"

    served.write(serving(3, " environment: {X: '1'}"))  # edited, and not applied
    assert served.json("rollback", "answers", "--to", "1")["ok"]
    assert models(served) == ["model@1"]
    assert served.json("apply")["outcomes"] == [], "edited before the roll-back, not since"

    served.write(serving(2, " environment: {ECHO_START_DELAY: '60'}"))  # never healthy
    served.run("apply", code=1)
    result = served.json("rollback", "answers", "--to", "3")
    assert [outcome for outcome in result["outcomes"] if outcome["result"] != "done"] == []
    assert models(served) == ["model@3"]
    served.write(serving(2))
    served.run("apply")
    assert models(served) == ["model@2"]


def test_what_cannot_be_brought_back_leaves_all_as_it_was_and_destroy_forgets_nothing(served: Workspace) -> None:
    served.records().store.delete(f"{served.name}/jobs/model/1/model.tar.gz")
    before = statuses(served)
    assert not served.json("rollback", "answers", "--to", "1", code=1)["ok"]
    assert statuses(served) == before
    assert models(served) == ["model@3"]
    assert served.json("apply")["outcomes"] == [], "and nobody tries it again"

    served.run("rollback", "answers", "--reason", "3 is bad")
    served.run("destroy", "--yes")
    served.run("apply")
    assert models(served) == ["model@2"]
    assert served.invoke("answers", "x")[0] == 200
