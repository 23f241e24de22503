"""The cluster that tests have: what it is made of, and what is left of one whose run was killed."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.swarm import leavings
from tests.swarm.cluster import Cluster, made_of

pytestmark = pytest.mark.swarm
REPOSITORY = Path(__file__).parents[2]


def test_every_node_and_this_machine_reach_the_registry_until_a_wire_is_cut(cluster: Cluster) -> None:
    ask = ["curl", "--silent", "--fail", "--max-time", "5", f"http://{cluster.registry}/v2/"]
    first, *others = cluster.nodes
    assert [node.run(ask).returncode for node in cluster.nodes] == [0, 0, 0]
    with urllib.request.urlopen(f"http://{cluster.registry}/v2/", timeout=5) as answer:
        assert json.load(answer) == {}
    cluster.cut(first)
    assert first.run(ask).returncode != 0
    assert [node.run(ask).returncode for node in others] == [0, 0]
    cluster.join(first)
    assert first.run(ask).returncode == 0


def test_what_a_test_makes_is_gone_when_it_has_ended(cluster: Cluster) -> None:
    engine = cluster.manager.engine
    engine.create_network("made", driver="overlay")
    engine.create_secret("made", b"a secret")
    cluster.nodes[1].engine.create_volume("made")
    cluster.restore()
    assert engine.networks(names=["made"]) == engine.secrets() == []
    assert not cluster.nodes[1].engine.volumes()["Volumes"]


KILLED = """
import time
from tests.swarm.cluster import made_of
with made_of(1) as made:
    print(made.manager.folder.parent, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_has_left_is_taken_down_by_the_next() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        folder = Path(killed.stdout.readline().strip())
        killed.kill()
    assert _at_work_in(folder)
    old = (folder / "n1" / "docker.pid").read_text()
    with made_of(1):
        assert old not in map(str, _at_work_in(folder))
    assert not _at_work_in(folder)


def _at_work_in(folder: Path) -> list[int]:
    return leavings.processes_of(folder)
