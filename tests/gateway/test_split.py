"""Callers keep their variant: by a header, an attribute or a cookie, whatever happens to the gateway."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from sagespec.state.observed import Route, Target
from tests.gateway.test_gateway import BODY, Stand, a_target, open_stand

USERS = 10_000


class Callers:
    """They ask, and tell who answered."""

    def __init__(self, stand: Stand, endpoint: str = "churn") -> None:
        self._port, self._path = stand.settings.port, f"/endpoints/{endpoint}/invocations"

    def ask(self, *requests: Mapping[str, str]) -> list[tuple[str, int]]:
        """By headers: the variants, and the processes of the instances."""
        answers = []
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            for headers in requests:
                connection.request("POST", self._path, BODY, dict(headers))
                response = connection.getresponse()
                body = response.read()
                assert response.status == 200, body
                answers.append((response.headers["x-Amzn-Invoked-Production-Variant"], json.loads(body)["pid"]))
        return answers

    def seen(self, *requests: Mapping[str, str]) -> set[str]:
        return {variant for variant, _ in self.ask(*requests)}

    def users(self, count: int) -> list[tuple[str, int]]:
        return self.ask(*({"x-user": f"user-{number}"} for number in range(count)))

    def variants(self, count: int = USERS) -> list[str]:
        return [variant for variant, _ in self.users(count)]


def two(stand: Stand) -> Callable[[float, float, str], None]:
    """Starts two variants, and returns what sets their weights and the key."""
    names = {variant: stand.start(variant) for variant in ("stable", "candidate")}
    for variant, name in names.items():
        stand.admit(a_target(variant, 0, [name]))

    def split(stable: float, candidate: float, key: str) -> None:
        targets = (
            a_target("stable", stable, [names["stable"]]),
            a_target("candidate", candidate, [names["candidate"]]),
        )
        stand.gateway.set_route("churn", Route("churn", targets, key=key), stand.addresses)

    return split


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def any_stand(request: pytest.FixtureRequest, project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand(request.param, project_name, tmp_path) as stand:
        yield stand


@pytest.fixture
def stand(project_name: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand("process", project_name, tmp_path) as stand:
        yield stand


def test_unmodified_boto3_keeps_its_variant_over_a_restart_of_the_gateway(any_stand: Stand) -> None:
    two(any_stand)(50, 50, "attribute user")
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{any_stand.settings.port}",
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 0}),
    )

    def variant(attributes: str) -> str:
        answer = client.invoke_endpoint(EndpointName="churn", Body=BODY, CustomAttributes=attributes)
        assert attributes.encode() in answer["Body"].read()  # the model gets them, too
        return str(answer["InvokedProductionVariant"])

    seen = {user: {variant(f"user={user}")} for user in range(20)}
    assert {name for names in seen.values() for name in names} == {"stable", "candidate"}
    for number in range(500):
        seen[7].add(variant(f"trace={number};user=7,x=y"))
    any_stand.gateway.start(lambda _event: None, restart=True)
    for number in range(500):
        seen[7].add(variant(f"trace={number};user=7"))
    for user in range(20):
        seen[user].add(variant(f"user={user}"))
    assert {len(names) for names in seen.values()} == {1}


@pytest.mark.slow
def test_ten_thousand_users_are_split_by_the_weights_and_move_one_way(stand: Stand) -> None:
    split, callers = two(stand), Callers(stand)
    split(90, 10, "header x-user")
    before = callers.variants()
    counted = Counter(before)
    expected = {"stable": 0.9 * USERS, "candidate": 0.1 * USERS}
    assert sum((counted[name] - of) ** 2 / of for name, of in expected.items()) < 6.63  # p > .01
    split(80, 20, "header x-user")
    moves = Counter((old, new) for old, new in zip(before, callers.variants(), strict=True) if old != new)
    assert moves.keys() == {("stable", "candidate")}
    assert 0.09 * USERS < moves.total() < 0.11 * USERS


def test_users_are_divided_in_another_way_at_each_endpoint(stand: Stand) -> None:
    split = two(stand)
    split(50, 50, "header x-user")
    targets = tuple(a_target(name, 50, [stand.start(name, endpoint="other")]) for name in ("stable", "candidate"))
    for target in targets:
        stand.admit(target, endpoint="other")
    stand.gateway.set_route("other", Route("other", targets, key="header x-user"), stand.addresses)
    here, there = (Callers(stand, endpoint).variants(400) for endpoint in ("churn", "other"))
    assert 150 < sum(one == other for one, other in zip(here, there, strict=True)) < 250  # 200 by chance


def test_within_a_variant_callers_move_only_to_the_new_instances(stand: Stand) -> None:
    """As a rollout does: the candidate of a variant takes over from its live instances, step by step."""
    old = Target("stable", "1-aa", 70, (stand.start("stable"),))
    new = Target("stable", "1-bb", 0, (stand.start("stable", hash_text="1-bb"),))
    other = a_target("other", 30, [stand.start("other")])
    for target in (old, new, other):
        stand.admit(target)
    steps: list[list[tuple[str, int]]] = []
    for share in (0.0, 0.1, 0.5, 1.0):
        mixture = (replace(old, weight=70 * (1 - share)), replace(new, weight=70 * share), other)
        stand.gateway.set_route("churn", Route("churn", mixture, key="header x-user"), stand.addresses)
        steps.append(Callers(stand).users(300))
    users = list(zip(*steps, strict=True))
    assert all(len({variant for variant, _ in user}) == 1 for user in users)
    moves = [len({pid for _, pid in user}) - 1 for user in users]
    assert {move for user, move in zip(users, moves, strict=True) if user[0][0] == "stable"} == {
        1
    }  # once, and for good
    assert {move for user, move in zip(users, moves, strict=True) if user[0][0] == "other"} == {0}
    assert 0 < len({user for user in users if user[0] != user[1]}) < len(users) / 2


def test_what_has_no_key_is_split_by_chance(stand: Stand) -> None:
    split, callers = two(stand), Callers(stand)
    split(50, 50, "attribute user")
    name = "X-Amzn-SageMaker-Custom-Attributes"
    for headers in ({}, {name: "trace=1"}, {name: "user="}, {name: "superuser=1"}, {"x-user": "1"}):
        assert callers.seen(*[headers] * 60) == {"stable", "candidate"}, headers
    split(50, 50, "header x-user")
    assert callers.seen(*[{"x-user": ""}] * 60) == {"stable", "candidate"}


def test_a_cookie_is_a_key_and_reaches_no_model(stand: Stand) -> None:
    split, callers = two(stand), Callers(stand)
    split(50, 50, "cookie uid")
    seen = {user: callers.seen(*({"Cookie": f"s={n}; uid={user}"} for n in range(10))) for user in range(20)}
    assert {len(names) for names in seen.values()} == {1}
    assert set.union(*seen.values()) == {"stable", "candidate"}
    with closing(http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=30)) as connection:
        connection.request("POST", "/endpoints/churn/invocations", BODY, {"Cookie": "uid=secret"})
        assert b"secret" not in connection.getresponse().read()


def test_target_variant_goes_before_the_key_and_weight_0_gets_nobody(stand: Stand) -> None:
    split, callers = two(stand), Callers(stand)
    split(100, 0, "header x-user")
    assert set(callers.variants(200)) == {"stable"}
    targeted = {"X-Amzn-SageMaker-Target-Variant": "candidate"}
    assert callers.seen(*(targeted | {"x-user": f"user-{n}"} for n in range(50))) == {"candidate"}
    split(0, 100, "header x-user")
    assert set(callers.variants(200)) == {"candidate"}


def test_live_weights_are_read_back_as_they_were_set(stand: Stand) -> None:
    split = two(stand)
    for weights in ((90.0, 10.0), (0.0, 1.0), (100 / 3, 1e9)):
        split(*weights, "header x-user")
        (route,) = stand.gateway.observe(stand.runtime.containers()).routes.values()
        assert [(t.variant, t.weight) for t in route.targets] == [("stable", weights[0]), ("candidate", weights[1])]
        assert route.key == "header x-user"
