"""No bytes make the gateway take one request for two, or let one past the look at its key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.doors.door import BODY, DENIED, PATH, SHOP_KEY, Door, exchange, open_door, request


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(request.param, f"test-smuggling-{request.param}", tmp_path_factory.mktemp("smuggling")) as door:
        yield door


INNER = request(f"X-Injected: {SHOP_KEY}")  # what would be smuggled: it has no key of its own
OUTER = ["Host: localhost", f"X-Api-Key: {SHOP_KEY}"]


def raw(*lines: str, first: str = f"POST {PATH} HTTP/1.1", body: bytes = b"") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode() + body


CHUNKED = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
SMUGGLED = {
    "CL.TE": raw(*OUTER, f"Content-Length: {len(CHUNKED + INNER)}", "Transfer-Encoding: chunked", body=CHUNKED + INNER),
    "TE.CL": raw(*OUTER, "Transfer-Encoding: chunked", "Content-Length: 4", body=CHUNKED + INNER),
    "TE.TE": raw(*OUTER, "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=CHUNKED + INNER),
    "TE in other letters": raw(*OUTER, "Transfer-Encoding: xchunked", "Content-Length: 3", body=BODY + INNER),
    "TE with a tab": raw(*OUTER, "Transfer-Encoding:\tchunked, identity", body=CHUNKED + INNER),
    "TE behind a space": raw(*OUTER, "Transfer-Encoding : chunked", "Content-Length: 3", body=BODY + INNER),
    "two lengths": raw(*OUTER, "Content-Length: 3", f"Content-Length: {3 + len(INNER)}", body=BODY + INNER),
    "a list of lengths": raw(*OUTER, f"Content-Length: 3, {3 + len(INNER)}", body=BODY + INNER),
    "a negative length": raw(*OUTER, "Content-Length: -1", body=BODY + INNER),
    "a signed length": raw(*OUTER, "Content-Length: +3", body=BODY + INNER),
    "obs-fold": raw(*OUTER, "X-More: 1", f" X-Api-Key: {SHOP_KEY}", "Content-Length: 3", body=BODY + INNER),
    "a chunk that is too long": raw(*OUTER, "Transfer-Encoding: chunked", body=b"FFFFFFFFFFFFFFFFF\r\n" + BODY + INNER),
    "a chunk's extension": raw(*OUTER, "Transfer-Encoding: chunked", body=b"3;a=\n1,2\r\n0\r\n\r\n" + INNER),
    "a bare CR": raw(*OUTER, "X-More: a\rX-Other: b", "Content-Length: 3", body=BODY + INNER),
    "NUL": raw(*OUTER, "X-More: a\0b", "Content-Length: 3", body=BODY + INNER),
    "two hosts": raw(*OUTER, "Host: other", "Content-Length: 3", body=BODY + INNER),
    "a trailer": raw(*OUTER, "Transfer-Encoding: chunked", body=CHUNKED[:-2] + b"X-Api-Key: a\r\n\r\n"),
    "h2c": raw(
        *OUTER, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        "Content-Length: 3", body=BODY + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    "websocket": raw(*OUTER, "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3", body=BODY + INNER),
    "h2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER,
    "HTTP/0.9": b"POST /endpoints/churn/invocations\r\n" + INNER,
    "CONNECT": raw(*OUTER, first="CONNECT localhost:80 HTTP/1.1", body=INNER),
    "a space in the line": raw(*OUTER, "Content-Length: 3", first=f"POST  {PATH} HTTP/1.1", body=BODY + INNER),
}  # fmt: skip


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED)
def test_what_is_smuggled_in_is_never_answered_by_a_model(door: Door, data: bytes) -> None:
    """At most the outer request is, which has a key; whatever follows is refused, or the connection ends."""
    answers = door.send(data)
    served = [answer for answer in answers if answer.status == 200]
    assert len(served) <= 1
    assert all(answer.status in (400, 403, 404, 405, 426, 431, 501) for answer in answers if answer not in served)
    assert answers.index(served[0]) == 0 if served else True
    assert door.is_open_for(SHOP_KEY)  # the next caller is none the wiser


WITHOUT_KEY = {
    "absolute form": request(path=f"http://localhost{PATH}"),
    "key as user": request(path=f"http://{SHOP_KEY}@localhost{PATH}"),
    "two slashes": request(path=f"/{PATH}"),
    "dots": request(path=f"/ping/..{PATH}"),
    "encoded dots": request(path=f"/ping/%2e%2e{PATH}"),
    "backslashes": request(path="/ping\\..\\endpoints\\churn\\invocations"),
    "method override": request("X-HTTP-Method-Override: GET", "X-Original-URL: /ping", "X-Rewrite-URL: /ping"),
    "envoy's own": request(
        "x-envoy-original-path: /ping", "x-envoy-internal: true", "x-envoy-decorator-operation: ping"
    ),
    "forwarded": request("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"),
    "hop by hop": request("Connection: X-Api-Key, close", "X-Api-Key: wrong"),
    "HTTP/1.0": raw("Content-Length: 3", first=f"POST {PATH} HTTP/1.0", body=BODY),
    "expect": request("Expect: 100-continue"),
    "other methods": request(method="PURGE"),
}


@pytest.mark.parametrize("data", WITHOUT_KEY.values(), ids=WITHOUT_KEY)
def test_no_way_round_leads_past_the_look_at_the_key(door: Door, data: bytes) -> None:
    answers = door.send(data)
    assert answers
    assert all(answer.status in (100, 400, 403) for answer in answers)
    assert answers[-1].status != 100
    assert all(answer.body == DENIED for answer in answers if answer.status == 403)


def test_requests_on_one_connection_are_each_looked_at(door: Door) -> None:
    """The first without a key ends it, so that its body is never taken for a request."""
    with_key, without = request(f"X-Api-Key: {SHOP_KEY}"), request()
    with door.connect() as connection:
        answers = [exchange(connection, data) for data in (with_key, with_key, without)]
        assert [answer.status for answer in answers] == [200, 200, 403]
        assert answers[-1].headers["connection"] == "close"
        assert connection.recv(100) == b""
    assert [answer.status for answer in door.send(with_key + with_key + without + with_key)] == [200, 200, 403]
