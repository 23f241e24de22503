"""What serves is what the store has, and `status` says what serves."""

from __future__ import annotations

import json
import shutil

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


def models(workspace: Workspace) -> set[str]:
    """The checksums of the files behind some answers: what a job writes differs with its data."""
    return {json.loads(workspace.invoke("answers", "1")[1])["model"]["echo.json"] for _ in range(4)}


def row(workspace: Workspace) -> dict[str, object]:
    (found,) = workspace.json("status")["endpoints"]
    return {name: found["variants"][0][name] for name in ("model", "model_asked", "instances_healthy", "share_live")}


def test_a_model_trained_again_after_the_store_was_lost_takes_over_whole(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")
    before = models(workspace)
    shutil.rmtree(workspace.root / ".sagespec/store")
    (workspace.root / "data/train.csv").write_text("0,7\n")
    workspace.edit("weight: 1", "weight: 1, instances: 2")
    assert "model model@1 is trained again" in workspace.run("plan").stdout
    workspace.run("apply")
    (after,) = models(workspace)
    assert after not in before, "one variant, one model"
    assert workspace.json("plan")["actions"] == []

    workspace.write(job(1) + job(2) + endpoint("only model@2 1"))
    serves = {"model": "model@1", "model_asked": "model@2", "instances_healthy": 2, "share_live": 1.0}
    assert row(workspace) == serves, "edited and not applied"
