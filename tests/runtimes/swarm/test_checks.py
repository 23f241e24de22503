"""What the doctor says of a Swarm: one that is well, and what can be wrong with one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.protocol import Check
from sagespec.runtimes.swarm.checks import Node, checks_of_answers, checks_of_nodes
from sagespec.runtimes.swarm.doctor import COURIER
from sagespec.runtimes.swarm.probing import MEETS_SECONDS, PATIENCE_SECONDS, Answer, Answers
from sagespec.runtimes.swarm.runtime import SwarmRuntime
from sagespec.state.labels import LABEL_PROJECT
from tests import built
from tests.swarm.cluster import Cluster
from tests.swarm.within import within

N1, N2, N3 = NODES = tuple(
    Node(f"id-{name}", name, True, "active", "20.10.24", "linux/x86_64", "reachable" if name == "n1" else "")
    for name in ("n1", "n2", "n3")
)
WELL = {node.id: Answer(3, 0.4, gains=True) for node in NODES}


def by_name(found: Iterable[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def of_nodes(*nodes: Node, further: int = 0) -> dict[str, Check]:
    return by_name(checks_of_nodes(nodes, further))


def test_a_swarm_that_is_well_has_nothing_to_be_done() -> None:
    found = of_nodes(*NODES) | by_name(checks_of_answers(NODES, WELL))
    assert [check for check in found.values() if not check.ok] == []
    assert found["nodes"].detail == "3 of 3 take work"
    assert "one" not in found["engines"].detail
    assert found["ports between nodes"].detail == "n1, n2, n3 reach each other"
    assert "no-new-privileges" in found["privileges"].detail


@pytest.mark.parametrize(
    ("nodes", "name", "said"),
    [
        ((N1, N2, replace(N3, is_ready=False)), "nodes", "2 of 3 take work; n3 is not there"),
        ((N1, N2, replace(N3, version="28.2.2")), "engines", "20.10.24 on n1, n2; 28.2.2 on n3"),
        ((N1, replace(N2, platform="linux/aarch64")), "platforms", "linux/aarch64 on n2; linux/x86_64 on n1"),
        ((N1, replace(N2, manages="reachable")), "managers", "2; 0 may be lost"),
        (
            (N1, replace(N2, manages="reachable"), replace(N3, manages="unreachable")),
            "managers",
            "3, of which 2 can be reached; 0 more may be lost",
        ),
    ],
)
def test_what_a_manager_knows_to_be_wrong(nodes: tuple[Node, ...], name: str, said: str) -> None:
    check = of_nodes(*nodes)[name]
    assert (check.ok, check.detail[: len(said)], bool(check.fix)) == (False, said, True)


def test_three_managers_are_well_and_a_drained_node_is_only_told() -> None:
    managers = [replace(node, manages="reachable") for node in NODES]
    assert of_nodes(*managers, further=2)["managers"] == Check("managers", True, "3; 1 may be lost")
    assert "runtime.swarm.managers" in of_nodes(*managers)["managers"].detail
    drained = of_nodes(N1, replace(N2, availability="drain"))["nodes"]
    assert (drained.ok, drained.detail) == (True, "1 of 2 take work; not used: n2 (drain)")


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        (Answer(why_not="No such image: r.lan/courier"), "images on nodes", "n3: No such image: r.lan/courier"),
        (None, "images on nodes", "n3 did not answer"),
        (Answer(1), "ports between nodes", "n3 reaches 1 of 3"),
        (Answer(3, apart=90), "clocks of nodes", "differ from this machine's: n3 by 90 s"),
    ],
)
def test_what_a_node_says_to_be_wrong(changed: Answer | None, name: str, said: str) -> None:
    answers = {node_id: answer for node_id, answer in WELL.items() if node_id != N3.id}
    found = by_name(checks_of_answers(NODES, answers | ({N3.id: changed} if changed else {})))
    assert (found[name].ok, found[name].detail, bool(found[name].fix)) == (False, said, True)
    assert [check.name for check in found.values() if not check.ok] == [name]


def test_who_runs_first_is_heard_again_once_the_last_runs() -> None:
    answers = Answers(2)
    answers.hear(N1.id, Answer(1, 0.2), 1.0)
    answers.hear(N2.id, Answer(2), 40.0)  # it had to fetch the image
    assert not answers.are_all(40.1), "the first has not met the last yet"
    answers.hear(N1.id, Answer(2, 40.0), 40.2)
    assert answers.are_all(40.2)
    assert answers.found[N1.id] == Answer(2, 0.2)


def test_those_that_do_not_meet_are_waited_for_from_the_last_one_on() -> None:
    answers = Answers(2)
    answers.hear(N1.id, Answer(1), 1.0)
    assert not answers.may_come(0.0, PATIENCE_SECONDS + 1)
    answers.hear(N2.id, Answer(1), 55.0)
    assert answers.may_come(0.0, PATIENCE_SECONDS + 1)
    assert not answers.are_all(55.0 + MEETS_SECONDS)
    assert answers.are_all(55.1 + MEETS_SECONDS)


def test_one_that_cannot_run_is_met_by_nobody() -> None:
    answers = Answers(2)
    answers.hear(N1.id, Answer(1), 1.0)
    answers.hear(N2.id, Answer(why_not="No such image"), 2.0)
    assert answers.are_all(2.0)


# -- a real one ------------------------------------------------------------------------------------


@pytest.fixture
def runtime(request: pytest.FixtureRequest, project_name: str) -> Iterator[SwarmRuntime]:
    reference = built.reference("courier")  # on the engine of this machine
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.load(reference)
    with SwarmRuntime(project_name, images_dir(), registry=f"{cluster.registry}/doctor") as runtime:
        yield runtime


@pytest.mark.swarm
def test_each_node_is_asked_whether_it_gets_images_and_reaches_the_others(
    runtime: SwarmRuntime, cluster: Cluster
) -> None:
    assert "not checked" in by_name(runtime.checks())["images on nodes"].detail
    runtime.prepare(COURIER, lambda _: None)
    found = by_name(runtime.checks())
    assert [check for check in found.values() if not check.ok] == []
    assert found["images on nodes"].detail == "pulled by n1, n2, n3"
    assert found["ports between nodes"].detail == "n1, n2, n3 reach each other"
    block = ["iptables", "-I", "INPUT", "-p", "udp", "--dport", "4789", "-j", "DROP"]
    third = cluster.nodes[2]
    assert third.run(block).returncode == 0
    try:
        found = by_name(runtime.checks())
    finally:
        third.run([word.replace("-I", "-D") for word in block])
    assert [check.name for check in found.values() if not check.ok] == ["ports between nodes"]
    assert "n3 reaches 1 of 3" in found["ports between nodes"].detail
    engine = cluster.manager.engine
    assert [row["Spec"]["Name"] for row in engine.services()] == []
    # The engine lists a network until its last task has let go of it.
    within(30, lambda: not engine.networks(names=["ss-doctor"]), "the network of those who were asked stays")


@pytest.mark.swarm
def test_what_a_killed_doctor_has_left_goes_with_its_project(
    runtime: SwarmRuntime, cluster: Cluster, project_name: str
) -> None:
    engine, labels = cluster.manager.engine, {LABEL_PROJECT: project_name}
    engine.create_network("ss-doctor-killed", driver="overlay", labels=labels)
    template = {"ContainerSpec": {"Image": "none:1"}, "Networks": [{"Target": "ss-doctor-killed"}]}
    engine.create_service(template, name="ss-doctor-killed", labels=labels)
    runtime.destroy()
    assert engine.services() == []
    assert engine.networks(names=["ss-doctor-killed"]) == []


@pytest.mark.swarm
def test_a_registry_that_is_away_is_said(request: pytest.FixtureRequest, project_name: str) -> None:
    cluster: Cluster = request.getfixturevalue("cluster")
    with SwarmRuntime(project_name, images_dir(), registry=f"{cluster.wire.address}:5999/doctor") as runtime:
        check = by_name(runtime.checks())["registry"]
    assert not check.ok
    assert f"{cluster.wire.address}:5999" in check.detail
