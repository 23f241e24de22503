"""Nobody is answered without a key, whatever they try; a real gateway, and bytes as an attacker sends them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sagespec.state.doors import Doors
from tests.gateway.test_gateway import wait_for
from tests.scenarios.doors.door import (
    CRM_KEY,
    DENIED,
    DOORS,
    NEXT_SHOP_KEY,
    PATH,
    SHOP_KEY,
    Door,
    caller,
    exchange,
    open_door,
    request,
    what_the_model_saw,
)


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(request.param, f"test-keys-{request.param}", tmp_path_factory.mktemp("keys")) as door:
        yield door


SIGNED = "Authorization: AWS4-HMAC-SHA256 Credential={}/20261130/us-east-1/sagemaker/aws4_request, SignedHeaders=host, \
Signature=00"


@pytest.mark.parametrize(
    "header",
    ["X-Api-Key: {}", "x-API-key: {}", "Authorization: Bearer {}", "authorization: bearer {}", SIGNED],
    ids=["header", "other-case", "bearer", "bearer-in-small-letters", "signed"],
)
@pytest.mark.parametrize("key", [SHOP_KEY, NEXT_SHOP_KEY])
def test_either_key_opens_in_each_way_and_goes_no_further(door: Door, header: str, key: str) -> None:
    seen = door.knock(header.format(key))
    assert seen.status == 200
    assert key not in str(what_the_model_saw(seen))


NO_KEYS = {
    "none": [],
    "empty": ["X-Api-Key:"],
    "wrong": ["X-Api-Key: " + "x" * 37],
    "a name": ["X-Api-Key: shop"],
    "the hash": ["X-Api-Key: " + DOORS.callers[1].hashes[0]],
    "a part": ["X-Api-Key: " + SHOP_KEY[:-1]],
    "more": ["X-Api-Key: " + SHOP_KEY + "x"],
    "other case": ["X-Api-Key: " + SHOP_KEY.upper()],
    "quoted": [f'X-Api-Key: "{SHOP_KEY}"'],
    "a list": [f"X-Api-Key: {SHOP_KEY}, {SHOP_KEY}"],
    "twice": [f"X-Api-Key: {SHOP_KEY}", f"X-Api-Key: {SHOP_KEY}"],
    "wrong, then right": ["X-Api-Key: wrong", f"X-Api-Key: {SHOP_KEY}"],
    "wrong beside right": ["X-Api-Key: wrong", f"Authorization: Bearer {SHOP_KEY}"],
    "two tokens": [f"Authorization: Bearer {SHOP_KEY}", f"Authorization: Bearer {SHOP_KEY}"],
    "a list of tokens": [f"Authorization: Bearer {SHOP_KEY}, Bearer {SHOP_KEY}"],
    "basic": ["Authorization: Basic c2hvcDo="],
    "bare": [f"Authorization: {SHOP_KEY}"],
    "signed by a name": [SIGNED.format("shop")],
    "signed in pieces": ["Authorization: AWS4-HMAC-SHA256 Credential=" + SHOP_KEY],
    "the name that the gateway would use": ["x-sagespec-caller: shop", "caller: shop"],
    "underscore": [f"X_Api_Key: {SHOP_KEY}"],
    "very long": ["X-Api-Key: " + "x" * 8000],
    "a cookie": [f"Cookie: x-api-key={SHOP_KEY}"],
    "a proxy's header": [f"Proxy-Authorization: Bearer {SHOP_KEY}", f"X-Forwarded-Authorization: Bearer {SHOP_KEY}"],
}


@pytest.mark.parametrize("headers", NO_KEYS.values(), ids=NO_KEYS)
def test_whoever_has_no_key_gets_one_and_the_same_answer(door: Door, headers: list[str]) -> None:
    answer = door.knock(*headers)
    assert (answer.status, answer.kind, answer.body) == (403, "AccessDeniedException", DENIED)
    assert answer.what_shows == door.knock().what_shows


@pytest.mark.parametrize(
    "path",
    [
        f"{PATH}?x-api-key={SHOP_KEY}",
        f"{PATH}?X-Amz-Credential={SHOP_KEY}/20261130/us-east-1/sagemaker/aws4_request&X-Amz-Signature=00",
        f"/{SHOP_KEY}{PATH}",
        f"{PATH}#{SHOP_KEY}",
    ],
)
def test_a_key_in_the_address_is_none(door: Door, path: str) -> None:
    assert all(answer.status in (400, 403) for answer in door.send(request(path=path)))


OTHER_PLACES = [
    "/endpoints/nothing/invocations",
    "/endpoints/churn/feedback",
    "/endpoints/churn/invocations/",
    "/endpoints/churn./invocations",
    "/endpoints/%63hurn/invocations",
    "/endpoints/churn%2finvocations",
    "/endpoints/churn/../churn/invocations",
    "//endpoints/churn/invocations",
    "/./endpoints/churn/invocations",
    "/endpoints/churn/invocations;v=1",
    "/ping/../endpoints/churn/invocations",
    "/ping%2f..%2fendpoints/churn/invocations",
    "/pings",
    "/ping/",
    "/invocations",
    "/stats",
    "/",
]


@pytest.mark.parametrize("path", OTHER_PLACES)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS", "PUT"])
def test_nobody_without_a_key_learns_what_there_is(door: Door, path: str, method: str) -> None:
    """Not even by a variant, or by a value that would be refused."""
    expected = door.knock().what_shows
    more = ["X-Amzn-SageMaker-Target-Variant: stable", "X-Amzn-SageMaker-Inference-Id: " + "x" * 100]
    assert door.knock(path=path, method=method).what_shows == expected
    assert door.knock(*more, path=path, method=method).what_shows == expected


def test_ping_alone_is_open(door: Door) -> None:
    assert door.knock(path="/ping", method="GET").status == 200


def test_a_caller_of_one_endpoint_may_ask_no_other_and_does_not_learn_of_any(door: Door) -> None:
    there = door.knock(f"X-Api-Key: {CRM_KEY}", path="/endpoints/churn/invocations")
    nowhere = door.knock(f"X-Api-Key: {CRM_KEY}", path="/endpoints/nothing/invocations")
    assert there.what_shows == nowhere.what_shows == door.knock().what_shows
    assert door.is_open_for(CRM_KEY, "/endpoints/other/invocations")
    unknown = door.knock(f"X-Api-Key: {SHOP_KEY}", path="/endpoints/nothing/invocations")
    assert (unknown.status, unknown.kind) == (400, "ValidationError")


def test_a_key_that_is_taken_away_opens_nothing_more_on_open_connections_too(door: Door) -> None:
    ask = request(f"X-Api-Key: {NEXT_SHOP_KEY}")
    with door.connect() as connection:
        assert exchange(connection, ask).status == 200
        door.stand.gateway.set_doors(Doors(callers=(DOORS.callers[0], caller("shop", SHOP_KEY))))
        try:
            wait_for(lambda: not door.is_open_for(NEXT_SHOP_KEY))
            assert exchange(connection, ask).status == 403
            assert door.is_open_for(SHOP_KEY)
        finally:
            door.stand.gateway.set_doors(DOORS)


def test_a_key_that_cannot_be_read_stays_as_it_was(door: Door) -> None:
    shop = replace(DOORS.callers[1], hashes=(), unread=True)
    door.stand.gateway.set_doors(Doors(callers=(DOORS.callers[0], shop, caller("web", "k" * 32))))
    assert door.is_open_for(SHOP_KEY)
    assert door.is_open_for("k" * 32)
    door.stand.gateway.set_doors(DOORS)
    assert not door.is_open_for("k" * 32)


def test_a_gateway_that_is_started_again_lets_nobody_in_who_should_not(door: Door) -> None:
    door.stand.gateway.start(lambda _event: None, restart=True, doors=DOORS)
    wait_for(lambda: door.is_open_for(SHOP_KEY))
    assert door.knock().status == 403


def test_no_key_is_in_what_the_gateway_shows_or_is_given(door: Door) -> None:
    gateway, runtime = door.stand.gateway, door.stand.runtime
    knocks = [door.knock(f"X-Api-Key: {SHOP_KEY}"), door.knock(f"Authorization: Bearer {SHOP_KEY}")]
    ids = {knock.headers["x-amzn-requestid"] for knock in knocks}

    def logged() -> list[str]:
        """Of these two requests; another test asks for a path with a key in it, as it stands there then."""
        return [line for line in runtime.logs(gateway.launch().name) if any(one in line for one in ids)]

    wait_for(lambda: len(logged()) == len(ids))
    paths = ("/config_dump", "/clusters?format=json", "/stats")
    shown = b"".join(gateway._admin.fetch(*paths))
    given = [runtime.read(gateway.launch().name, f"gateway/{name}.json") or b"" for name in ("rds", "cds", "bootstrap")]
    log = "\n".join(logged()).encode()
    for key in (SHOP_KEY, NEXT_SHOP_KEY, CRM_KEY):
        assert key.encode() not in b"".join([shown, *given, log])
    assert DOORS.callers[1].hashes[0].encode() in shown
    assert key not in repr(gateway.launch())
