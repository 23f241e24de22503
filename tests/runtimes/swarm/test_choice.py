"""`--runtime auto` on an engine that manages a Swarm, and on one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.choose import choose
from sagespec.spec.swarm import SwarmSettings
from tests.contracts.bench import wait_for
from tests.swarm.cluster import Cluster

pytestmark = pytest.mark.swarm


def chosen(root: Path, swarm: SwarmSettings | None, wanted: str = "auto", last: str = "") -> str:
    runtime, said = choose(wanted, "acme", root, swarm=swarm, last=last)
    with runtime:
        assert said.startswith(f"runtime {runtime.name}")
        return runtime.name


def test_auto_takes_the_swarm_that_the_settings_name_where_the_engine_manages_one(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = SwarmSettings(registry=cluster.registry)
    assert chosen(tmp_path, named) == "swarm"
    assert chosen(tmp_path, None) == "docker", "an engine may be in a Swarm for other reasons"
    assert chosen(tmp_path, named, last="docker") == "docker", "the project runs there already"
    monkeypatch.setenv("DOCKER_HOST", cluster.nodes[1].docker_host)  # a worker
    assert chosen(tmp_path, named) == "docker"
    with pytest.raises(WorldError, match="not a manager"):
        chosen(tmp_path, named, "swarm")
    with pytest.raises(WorldError, match="not a manager"):
        chosen(tmp_path, named, last="swarm")


def test_each_manager_leads_to_one_and_the_same_swarm(
    own_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = SwarmSettings(registry=own_cluster.registry)
    first, second, _ = own_cluster.nodes
    own_cluster.promote(second)
    wait_for(lambda: second.engine.info()["Swarm"]["ControlAvailable"] or None)  # it hears of that itself
    with choose("swarm", "acme", tmp_path, swarm=named)[0] as runtime:
        through_the_first = runtime.where
    monkeypatch.setenv("DOCKER_HOST", second.docker_host)
    with choose("swarm", "acme", tmp_path, swarm=named)[0] as runtime:
        assert runtime.where == through_the_first
    assert first.engine.inspect_swarm()["ID"] in through_the_first
