"""Instances that are reached by a name that stays, while the address behind it may change."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.gateway.answers import probes_from
from sagespec.gateway.documents import pools_document
from sagespec.state.observed import Probe, Route
from tests.gateway.tables import STABLE, routed
from tests.gateway.tables import a_target as a_target_of
from tests.gateway.test_answers import a_cluster, a_host, clusters
from tests.gateway.test_gateway import Stand, a_target, open_stand, wait_for

NAMED = {"a": ("a.serve", 8080), "b": ("b.serve", 8080)}


@pytest.fixture
def stand(project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand("process", project_name, tmp_path) as stand:
        yield stand


@pytest.fixture
def docker_stand(project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand("docker", project_name, tmp_path) as stand:
        yield stand


def serve_by_name(stand: Stand, container: str, host: str) -> tuple[str, int]:
    place = (host, stand.addresses[container][1])
    stand.gateway.admit("churn", a_target("stable", 0, [container]), {container: place})
    wait_for(lambda: stand.is_healthy(container))
    stand.gateway.set_route("churn", Route("churn", (a_target("stable", 1, [container]),)), {container: place})
    return place


def test_an_instance_is_served_from_by_name_and_seen_under_that_name(stand: Stand) -> None:
    container = stand.start("stable")
    place = serve_by_name(stand, container, "localhost")
    assert stand.invoke()["status"] == 200
    probe = stand.another_gateway().observe(stand.runtime.containers()).probes[container]
    assert ((probe.host, probe.port), probe.healthy) == (place, True), "another place would be drift, at each pass"


@pytest.mark.docker
def test_a_name_is_followed_to_another_address_and_nothing_need_be_changed(docker_stand: Stand) -> None:
    container, network = docker_stand.start("stable"), f"sagespec_{docker_stand.project_name}"
    place, before = serve_by_name(docker_stand, container, container), docker_stand.addresses[container]
    assert docker_stand.invoke()["status"] == 200

    docker_stand.runtime.stop(container, grace_seconds=0)
    docker("network", "disconnect", network, container)
    docker("network", "connect", "--ip", address_beside(before[0]), network, container)
    docker_stand.runtime.start(container)
    assert docker_stand.addresses[container] != before
    wait_for(lambda: docker_stand.invoke()["status"] == 200)
    probe = docker_stand.gateway.observe(docker_stand.runtime.containers()).probes[container]
    assert (probe.host, probe.port) == place


def docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, capture_output=True)


def address_beside(address: str) -> str:
    head, _, last = address.rpartition(".")
    return f"{head}.{int(last) ^ 1}"


def test_envoy_looks_names_up_every_second_and_addresses_never() -> None:
    named, pinned = routed(a_target_of(STABLE, 1, "ab"), places=NAMED), routed(a_target_of(STABLE, 1, "ab"))
    assert b'DnsCluster","dns_refresh_rate":"1s"' in pools_document(named.pools).content
    assert b'"type":"STATIC"' in pools_document(pinned.pools).content


def test_a_name_with_several_addresses_is_healthy_where_one_of_them_is() -> None:
    table = routed(a_target_of(STABLE, 1, "ab"), places=NAMED)
    hosts = [a_host("a", active=2), a_host("a", active=1, healthy=False)]
    for order in (1, -1):
        found = probes_from(clusters(a_cluster(table.serving[STABLE], *hosts[::order])), table)
        assert found["a"] == Probe(healthy=True, active_requests=3, host="a.serve", port=8080)


def test_a_name_with_no_address_is_known_and_not_healthy() -> None:
    table = routed(a_target_of(STABLE, 1, "ab"), places=NAMED)
    found = probes_from(clusters(a_cluster(table.serving[STABLE], a_host("a"))), table)
    assert found["b"] == Probe(healthy=False, host="b.serve", port=8080)
