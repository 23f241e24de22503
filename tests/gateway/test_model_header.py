"""Answers say which job's model has made them: x-sagespec-model, beside the variant."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagespec.gateway.documents import pools_document, routes_document
from sagespec.gateway.table import Table, model_of, table_as_json, table_from_json, with_probed, with_route
from sagespec.state.observed import Route
from tests.gateway.tables import CANDIDATE, PLACES, STABLE, routed
from tests.gateway.tables import a_target as of_table
from tests.gateway.test_gateway import BODY, Stand, a_target, open_stand

NAMED = replace(of_table(STABLE, 1, "a"), model="churn@3")


def headers_of(table: Table) -> list[dict[str, str]]:
    """What the routes add to answers, cluster by cluster of requests without a target."""
    (routes,) = json.loads(routes_document(table).content)["resources"]
    tree = routes["virtual_hosts"][0]["matcher"]["on_no_match"]["matcher"]["matcher_tree"]
    first = tree["prefix_match_map"]["map"]["/endpoints/churn/"]["action"]["typed_config"]["routes"][0]
    clusters = first["route"]["weighted_clusters"]["clusters"]
    assert all(cluster["response_headers_to_remove"] == ["x-sagespec-model"] for cluster in clusters)
    return [{h["header"]["key"]: h["header"]["value"] for h in c["response_headers_to_add"]} for c in clusters]


def test_a_target_names_its_model_and_one_of_no_job_names_none() -> None:
    assert headers_of(routed(NAMED, of_table(CANDIDATE, 1, "b"))) == [
        {"x-amzn-invoked-production-variant": "candidate"},
        {"x-amzn-invoked-production-variant": "stable", "x-sagespec-model": "churn@3"},
    ]


def test_a_route_of_an_earlier_release_names_no_models_and_is_no_other_route() -> None:
    earlier = json.loads(json.dumps(table_as_json(routed(of_table(STABLE, 1, "a")))))
    assert "models" not in earlier
    assert table_from_json(earlier).routes == routed(NAMED).routes


def test_the_models_are_read_back_from_the_gateway() -> None:
    table = routed(NAMED)
    read = table_from_json(json.loads(json.dumps(table_as_json(table))))
    assert [target.model for target in read.routes["churn"].targets] == ["churn@3"]


def test_whoever_lends_a_share_names_the_model_by_the_instance_that_answered() -> None:
    probing = with_probed(
        with_route(Table(), "churn", Route("churn", (of_table(CANDIDATE, 1, "b"),), lends=True), PLACES),
        "churn",
        NAMED,
        PLACES,
    )
    lending = with_route(probing, "churn", Route("churn", (NAMED, of_table(CANDIDATE, 1, "b")), lends=True), PLACES)
    pool = lending.serving[STABLE]
    assert model_of(pool) == "churn@3"
    assert pool in probing.pools  # what was probed is what serves: no pool is probed twice
    named = {_name_of(cluster): _metadata_of(cluster) for cluster in json.loads(_pools(lending))["resources"]}
    assert named[pool] == {"variant": "stable", "target": str(STABLE), "model": "churn@3"}
    assert headers_of(lending)[0]["x-sagespec-model"] == "%UPSTREAM_METADATA(sagespec:model)%"


def _pools(table: Table) -> bytes:
    return pools_document(table.pools).content


def _name_of(cluster: dict[str, Any]) -> str:
    return str(cluster["name"])


def _metadata_of(cluster: dict[str, Any]) -> Any:
    (group,) = cluster["load_assignment"]["endpoints"]
    return group["lb_endpoints"][0]["metadata"]["filter_metadata"]["sagespec"]


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def stand(request: pytest.FixtureRequest, project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand(request.param, project_name, tmp_path) as stand:
        yield stand


def ask(stand: Stand, **headers: str) -> http.client.HTTPResponse:
    with closing(http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=30)) as connection:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/endpoints/churn/invocations", BODY, sent)
        response = connection.getresponse()
        response.read()
        return response


@pytest.mark.parametrize("lends", [False, True])
def test_callers_read_it_beside_the_variant(stand: Stand, *, lends: bool) -> None:
    targets = []
    for variant, model in (("stable", "churn@3"), ("candidate", "churn@4"), ("archive", "")):
        targets.append(replace(a_target(variant, 1, [stand.start(variant)]), model=model))
        stand.admit(targets[-1])
    stand.gateway.set_route("churn", Route("churn", tuple(targets), lends=lends), stand.addresses)
    answers = [ask(stand, x_sagespec_model="made@9") for _ in range(30)]
    by_variant = {a.headers["x-amzn-invoked-production-variant"]: a.headers["x-sagespec-model"] for a in answers}
    assert by_variant == {"stable": "churn@3", "candidate": "churn@4", "archive": None}
    targeted = ask(stand, x_amzn_sagemaker_target_variant="candidate")
    assert (targeted.status, targeted.headers["x-sagespec-model"]) == (200, "churn@4")
