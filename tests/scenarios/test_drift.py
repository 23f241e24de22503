"""What changes behind our back, seen by `sagespec drift` and repaired by the next apply, in both runtimes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.servers import s3_server
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


def test_a_job_whose_data_have_changed_is_stale_which_is_no_drift_and_nothing_is_done_about_it(
    workspace: Workspace,
) -> None:
    workspace.write(job(1))
    workspace.run("apply")
    assert workspace.json("drift")["stale"] == []
    (workspace.root / "data/train.csv").write_text("1,0.5,0.25\n")
    said = "job/model@1: the data of channel train changed after it was trained: a new version trains with it"

    told = workspace.run("drift").stdout
    assert f"stale  {said}" in told
    assert told.splitlines()[-1] == "no drift; 1 stale"
    found, plan = workspace.json("drift"), workspace.json("plan")
    assert found["counts"]["stale"] == plan["counts"]["stale"] == 1
    assert found["actions"] == plan["actions"] == []
    (stale,) = plan["stale"]
    assert (stale["about"], stale["channels"], stale["image"]) == ("job/model@1", ["train"], "")
    assert f"stale  {said}" in workspace.run("plan").stdout
    (row,) = workspace.json("status")["jobs"]
    assert (row["state"], row["stale"]["channels"]) == ("trained", ["train"])
    assert "nothing to do" in workspace.run("apply").stdout


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
@pytest.mark.s3
def test_data_in_s3_are_listed_by_drift_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server("rclone", folder=workspace.root / "s3") as server:
        server.activate(monkeypatch)
        file = workspace.root / "s3/acme/in/a.csv"
        file.parent.mkdir(parents=True)
        file.write_text("1,2\n")
        workspace.write(job(1).replace("../data/train.csv", f"{server.uri}/in/"))
        workspace.run("apply")
        assert workspace.json("drift")["stale"] == []
        file.write_text("1,3\n")
        assert [one["channels"] for one in workspace.json("drift")["stale"]] == [["train"]]
        assert workspace.json("plan")["stale"] == []
    gone = workspace.json("drift")
    assert gone["stale"] == []
    assert gone["notes"][0].startswith(f"whether {server.uri}/in/ has changed is not known: ")


def test_a_damaged_or_missing_model_is_found_by_a_deep_look(workspace: Workspace) -> None:
    workspace.write(job(1))
    workspace.run("apply")
    assert workspace.json("drift", "--deep")["damage"] == []
    model = workspace.root / ".sagespec/store" / workspace.name / "jobs/model/1/model.tar.gz"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (found,) = workspace.json("drift", "--deep", code=2)["damage"]
    said = "model.tar.gz is not what was stored: its checksum is another"
    assert (found["about"], found["what"]) == ("job/model@1", said)
    assert workspace.json("drift")["damage"] == []
    model.write_bytes(content[:-1])
    (found,) = workspace.json("drift", "--deep", code=2)["damage"]
    assert found["what"].startswith(f"model.tar.gz has {len(content) - 1:,} bytes, and had {len(content):,} ")
    model.unlink()
    told = workspace.run("drift", "--deep", code=2).stdout
    assert "model.tar.gz is gone from file://" in told
    assert told.splitlines()[-1] == "nothing that an apply repairs; 1 damaged"


def test_a_deleted_revision_is_drift_and_is_recorded_again(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    workspace.run("apply")
    revision = workspace.root / ".sagespec/store" / workspace.name / "endpoints/answers/revisions/1.json"
    revision.unlink()
    (action,) = workspace.json("drift", code=2)["actions"]
    assert action["cause"]["note"] == "revision 1 serves and is not recorded"
    workspace.run("apply")
    assert revision.exists()
    assert workspace.json("drift")["actions"] == []


@pytest.mark.parametrize("workspace", [pytest.param("docker", marks=pytest.mark.docker)], indirect=True)
def test_limits_that_were_changed_on_the_engine_are_found_by_a_deep_look(
    workspace: Workspace, docker_client: Any
) -> None:
    workspace.write(job(1) + endpoint("only model@1 1 resources: {cpus: 1, memory: 512MiB}"))
    workspace.run("apply")
    assert workspace.json("drift", "--deep")["damage"] == []
    docker_client.update_container(workspace.names()["endpoint/answers/only#0"], mem_limit="768m", memswap_limit="768m")
    (found,) = workspace.json("drift", "--deep", code=2)["damage"]
    assert found["about"] == "endpoint/answers/only#0"
    assert found["what"] == "its limits are 1 CPUs and 768 MiB, and it was given 1 CPUs and 512 MiB"
    workspace.run("restart", "answers", "--reason", "limits")
    assert workspace.json("drift", "--deep")["damage"] == []
