"""Models as layers of images: what serves finds its model on any node, and nobody needs to bring it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sagespec.runtimes.protocol import ImageInfo
from tests import built, registries
from tests.ports import free_port
from tests.scenarios.specs import endpoint, job
from tests.scenarios.test_changes_under_load import load_on
from tests.scenarios.workspace import Workspace
from tests.swarm.cluster import Cluster
from tests.swarm.within import within

pytestmark = [pytest.mark.swarm, pytest.mark.slow(120)]

PROGRAMS = ("courier", "gateway", "echo", "feeder")

AGAIN_SECONDS = 120.0  # the Swarm gives a node up after 17 s


def three(version: int) -> str:
    return endpoint(f"only model@{version} 1 instances: 3")


@pytest.fixture(scope="module")
def place(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private registry of this machine, on the wire of the nodes: what they start they get with a login."""
    address = f"{shared_cluster.wire.at(2)}:{free_port()}"
    with registries.running(tmp_path_factory.mktemp("registry"), login=True, address=address):
        yield address


@pytest.fixture
def workspace(
    cluster: Cluster, place: str, tmp_path: Path, project_name: str, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """A project whose gateway is on the manager's node. Nobody has logged in yet."""
    with monkeypatch.context() as here:
        here.delenv("DOCKER_HOST")
        references = [built.reference(name) for name in PROGRAMS]
    cluster.load(*references)
    (tmp_path / "config.json").write_text("{}")
    found = Workspace(
        tmp_path / "project",
        project_name,
        f"{{swarm: {{registry: '{place}/acme', single_operator: true}}}}",
        environment={"DOCKER_CONFIG": str(tmp_path)},
    )
    found.edit("gateway: {", f"gateway: {{host: {cluster.manager.address}, open: true, ", "sagespec.yaml")
    return found


@pytest.fixture
def served(workspace: Workspace, place: str, tmp_path: Path) -> Workspace:
    """The same, with a model on three instances."""
    registries.log_in(tmp_path, place)
    workspace.write(job(1) + three(1))
    workspace.run("apply")
    return workspace


def serving(cluster: Cluster, workspace: Workspace) -> list[Mapping[str, Any]]:
    """The tasks of its instances that run, as far as the Swarm knows."""
    filters = {"label": [f"sagespec.project={workspace.name}", "sagespec.part=serving"]}
    found = cluster.manager.engine.tasks(filters=filters)
    return [task for task in found if task["Status"]["State"] == "running" and task["DesiredState"] == "running"]


def images_of(found: Iterable[Mapping[str, Any]]) -> set[str]:
    return {task["Spec"]["ContainerSpec"]["Image"].rpartition("@")[2] for task in found}


def model_files(workspace: Workspace) -> Any:
    """As the instance that answers has them; None when nobody does."""
    status, text, _ = workspace.invoke("answers", "1,2")
    return json.loads(text)["model"] if status == 200 else None


def baked(workspace: Workspace) -> list[ImageInfo]:
    with workspace.engine() as engine:
        return [image for image in engine.built_images() if image.project == workspace.name]


def test_without_a_login_one_is_asked_for(workspace: Workspace, place: str) -> None:
    workspace.write(job(1))
    said = workspace.run("apply", code=1)
    assert f"fix  `docker login {place}`" in said.stdout + said.stderr
    assert not workspace.containers()


def test_what_is_lost_or_killed_serves_its_model_again_wherever_the_swarm_starts_it(
    served: Workspace, cluster: Cluster
) -> None:
    """From the cut on, no sagespec does anything but ask."""
    files, before = model_files(served), serving(cluster, served)
    assert files
    lost = next(task for task in before if task["NodeID"] != cluster.manager.id)
    killed = max((task for task in before if task is not lost), key=lambda task: task["NodeID"] != lost["NodeID"])
    nodes = {node.id: node for node in cluster.nodes}
    cluster.cut(nodes[lost["NodeID"]])
    nodes[killed["NodeID"]].engine.kill(killed["Status"]["ContainerStatus"]["ContainerID"])

    def others() -> list[Mapping[str, Any]]:
        old = {lost["ID"], killed["ID"]}
        found = [task for task in serving(cluster, served) if task["ID"] not in old]
        return found if len(found) == 3 else []

    new = within(AGAIN_SECONDS, others, "not all run again")
    assert lost["NodeID"] not in {task["NodeID"] for task in new}
    assert images_of(new) == images_of(before)
    for _ in range(12):  # each is asked
        assert within(AGAIN_SECONDS, lambda: model_files(served), "nobody answers") == files


def test_a_change_of_model_loses_no_request_and_bakes_each_model_once(served: Workspace, cluster: Cluster) -> None:
    (first,) = baked(served)
    assert first.model == "model@1"
    assert images_of(serving(cluster, served)) == {first.digest}, "all three share it"
    with load_on(served.port, cluster.manager.address) as found:
        served.write(job(1) + job(2) + three(2))
        assert served.run("apply").stdout.count(": baking ") == 1, "while others are fetched, and not when they start"
        assert {image.model for image in baked(served)} == {"model@1", "model@2"}
        assert served.json("gc", "--images", "--sweep", "--older-than", "0")["unneeded"] == []
        served.run("rollback", "answers")
    assert found.keys() == {"200"}, found
    assert [image for image in baked(served) if image.model == "model@1"] == [first], "it was still there"
    assert images_of(serving(cluster, served)) == {first.digest}
