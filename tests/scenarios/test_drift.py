"""What changes behind our back, seen by `sagespec drift` and repaired by the next apply, in both runtimes."""

from __future__ import annotations

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


def test_a_lost_instance_is_drift_an_edited_weight_is_not_and_the_repair_is_recorded(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")
    assert "no drift" in workspace.run("drift").stdout

    workspace.edit("weight: 1", "weight: 2")
    assert "no drift" in workspace.run("drift").stdout, "a spec that is not applied is pending"
    assert workspace.json("plan")["counts"]["drift"] == 0

    address = "endpoint/answers/only#0"
    with workspace.engine() as engine:
        engine.remove(workspace.names()[address])
    found = workspace.json("drift", code=2)
    assert {action["about"] for action in found["actions"]} >= {address}
    assert found["counts"]["drift"] == len(found["actions"])
    said = workspace.run("plan").stdout
    assert said.index("changes of the specs") < said.index("drift: what was applied is not what is there")

    workspace.run("apply")
    found = workspace.json("drift")
    assert found["actions"] == []
    (repaired,) = (one for one in found["repaired"] if one["about"] == address)
    assert (repaired["action"], repaired["seen"]) == ("start-instance", "its container is gone")
    assert "sagespec apply of " in repaired["by"]
