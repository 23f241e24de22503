"""A variant that is down lends its share: nobody fails, the answer names who gave it, and callers come back."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sagespec.gateway.documents import routes_document
from sagespec.gateway.lending import lending_clusters
from sagespec.gateway.table import Table, TargetKey, with_route
from sagespec.state.observed import Route
from tests.gateway.tables import CANDIDATE, PLACES, STABLE, routed, routes_to
from tests.gateway.tables import a_target as of_table
from tests.gateway.test_gateway import BODY, Stand, a_target, open_stand, wait_for
from tests.gateway.test_split import Callers

OTHER = TargetKey("churn", "other", "1-cc")


def lending(*targets: object, key: str = "") -> Table:
    return with_route(Table(), "churn", Route("churn", tuple(targets), key=key, lends=True), PLACES)  # type: ignore[arg-type]


def test_a_share_is_lent_in_the_proportion_of_the_others_weights() -> None:
    table = lending(of_table(STABLE, 60, "a"), of_table(CANDIDATE, 30, "b"), of_table(OTHER, 10, "c"))
    weights = routes_to(routes_document(table))["churn"]
    assert {name.split("/", 1)[1]: round(weight / 2**31, 3) for name, weight in weights.items()} == {
        "stable/1-aa/to-candidate": 0.45,
        "stable/1-aa/to-other": 0.15,
        "candidate/1-bb/to-stable": 0.257,
        "candidate/1-bb/to-other": 0.043,
        "other/1-cc/to-stable": 0.067,
        "other/1-cc/to-candidate": 0.033,
    }
    pools = {key.variant: pool for key, pool in table.serving.items()}
    members = lending_clusters(table)["churn/other/1-cc/to-candidate"]
    assert members == (pools["other"], pools["candidate"], pools["stable"])


def test_what_is_asked_for_by_name_is_lent_to_nobody() -> None:
    table = lending(of_table(STABLE, 60, "a"), of_table(CANDIDATE, 30, "b"))
    assert list(routes_to(routes_document(table), "stable")["churn"]) == [table.serving[STABLE]]


def test_within_a_variant_the_other_instances_come_first() -> None:
    new = TargetKey("churn", "stable", "1-zz")
    table = lending(of_table(STABLE, 60, "a"), of_table(new, 6, "d"), of_table(CANDIDATE, 30, "b"))
    assert lending_clusters(table)["churn/stable/1-zz/to-candidate"] == (
        table.serving[new],
        table.serving[STABLE],
        table.serving[CANDIDATE],
    )


def test_an_endpoint_that_does_not_lend_is_written_as_before() -> None:
    document = json.dumps(json.loads(routes_document(routed(of_table(STABLE, 1, "a"))).content))
    assert "lends" not in document
    assert "retry_priority" not in document


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def any_stand(request: pytest.FixtureRequest, project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand(request.param, project_name, tmp_path) as stand:
        yield stand


@contextmanager
def load(stand: Stand) -> Iterator[Counter[str]]:
    """Users who ask again and again, by the variant that answered, or how it failed."""
    found, over = Counter[str](), threading.Event()

    def call(first: int) -> None:
        while not over.is_set():
            with closing(http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=30)) as connection:
                for number in range(first, first + 10):
                    connection.request("POST", "/endpoints/churn/invocations", BODY, {"x-user": f"user-{number}"})
                    response = connection.getresponse()
                    response.read()
                    variant = response.headers["x-Amzn-Invoked-Production-Variant"]
                    found[variant if response.status == 200 else str(response.status)] += 1
            time.sleep(0.01)

    threads = [threading.Thread(target=call, args=(10 * index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_dead_variant_costs_nobody_a_request_and_gets_its_callers_back(any_stand: Stand) -> None:
    stand = any_stand
    names = {"stable": [stand.start("stable")], "candidate": [stand.start("candidate", index) for index in range(2)]}
    targets = tuple(a_target(variant, 50, mine) for variant, mine in names.items())
    for target in targets:
        stand.admit(target)
    stand.gateway.set_route("churn", Route("churn", targets, key="header x-user", lends=True), stand.addresses)
    before = Callers(stand).variants(60)
    assert set(before) == {"stable", "candidate"}
    with load(stand) as found:
        wait_for(lambda: found.total() > 100)
        for name in names["candidate"]:
            stand.runtime.stop(name, grace_seconds=0)
        wait_for(lambda: not any(stand.is_healthy(name) for name in names["candidate"]))
        since = Counter(found)
        wait_for(lambda: (found - since).total() > 100)
        assert (found - since).keys() == {"stable"}
        assert Callers(stand).variants(60) == ["stable"] * 60
        for name in names["candidate"]:
            stand.runtime.start(name)
        wait_for(lambda: all(stand.is_healthy(name) for name in names["candidate"]))
        assert Callers(stand).variants(60) == before
    stand.gateway.start(lambda _event: None, restart=True)
    assert Callers(stand).variants(60) == before
    assert found.pop("424", 0) <= 6  # in flight at an instance that was killed: a request is run once
    assert found.keys() == {"stable", "candidate"}, found


def test_answers_are_counted_where_they_came_from(any_stand: Stand) -> None:
    stand = any_stand
    names = {variant: stand.start(variant) for variant in ("stable", "candidate")}
    targets = tuple(a_target(variant, 50, [name]) for variant, name in names.items())
    for target in targets:
        stand.admit(target)
    stand.gateway.set_route("churn", Route("churn", targets, key="header x-user", lends=True), stand.addresses)

    def counted() -> dict[str, tuple[int, int, int, int]]:
        return {
            key.variant: (t.requests, t.errors_4xx + t.errors_5xx, sum(t.latencies.values()), t.no_instance)
            for key, t in stand.gateway.totals().items()
            if key.variant
        }

    asked = Counter(Callers(stand).variants(40))
    wait_for(lambda: counted() == {name: (asked[name], 0, asked[name], 0) for name in names})  # Envoy sums up at times
    stand.runtime.stop(names["candidate"], grace_seconds=0)
    wait_for(lambda: not stand.is_healthy(names["candidate"]))
    assert set(Callers(stand).variants(40)) == {"stable"}
    assert stand.invoke(status=500)["status"] == 424
    stable = asked["stable"] + 41
    expected = {"stable": (stable, 1, stable, 0), "candidate": (asked["candidate"], 0, asked["candidate"], 0)}
    wait_for(lambda: counted() == expected)
    stand.runtime.stop(names["stable"], grace_seconds=0)
    wait_for(lambda: not stand.is_healthy(names["stable"]))
    assert stand.invoke()["status"] == 503
    wait_for(lambda: sum(none for *_, none in counted().values()) == 1)
    plain = stand.gateway.counters()
    assert sum(plain["churn", variant, "1-aa"].requests for variant in names) == stable + asked["candidate"] + 1
    assert plain["churn", "stable", "1-aa"].p50_ms is not None


def test_one_of_two_instances_is_enough_to_keep_a_share(any_stand: Stand) -> None:
    stand = any_stand
    names = {"stable": [stand.start("stable", index) for index in range(2)], "candidate": [stand.start("candidate")]}
    targets = tuple(a_target(variant, 50, mine) for variant, mine in names.items())
    for target in targets:
        stand.admit(target)
    stand.gateway.set_route("churn", Route("churn", targets, key="header x-user", lends=True), stand.addresses)
    before = Callers(stand).variants(60)
    stand.runtime.stop(names["stable"][0], grace_seconds=0)
    assert Callers(stand).variants(60) == before  # at once, too
    wait_for(lambda: not stand.is_healthy(names["stable"][0]))
    assert Callers(stand).variants(60) == before


def test_lending_begins_and_ends_without_a_lost_request(any_stand: Stand) -> None:
    stand = any_stand
    names = {variant: stand.start(variant) for variant in ("stable", "candidate")}
    targets = tuple(a_target(variant, 50, [name]) for variant, name in names.items())
    for target in targets:
        stand.admit(target)
    stand.gateway.set_route("churn", Route("churn", targets), stand.addresses)
    with load(stand) as found:
        for lends in (True, False, True, False):
            stand.gateway.set_route("churn", Route("churn", targets, lends=lends), stand.addresses)
            since = found.total()
            wait_for(lambda since=since: found.total() > since + 60)  # type: ignore[misc]
    assert found.keys() == {"stable", "candidate"}, found
