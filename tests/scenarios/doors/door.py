"""A real gateway whose callers have keys, with one endpoint behind it, and ways to knock at it."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sagespec.state.doors import AllowedCaller, Doors, Limit
from tests.gateway.test_gateway import Stand, a_target, open_stand

SHOP_KEY, NEXT_SHOP_KEY, CRM_KEY = "shop-" + "a1" * 16, "shop-" + "b2" * 16, "crm-" + "c3" * 16
PATH = "/endpoints/churn/invocations"
BODY = b"1,2"
DENIED = b'{"Message":"The request has no key with which it may be made."}'


def caller(name: str, *keys: str, endpoints: Sequence[str] = (), limit: Limit | None = None) -> AllowedCaller:
    hashes = tuple(hashlib.sha256(key.encode()).hexdigest() for key in keys)
    return AllowedCaller(name, hashes, tuple(endpoints), limit)


DOORS = Doors(callers=(caller("crm", CRM_KEY, endpoints=["other"]), caller("shop", SHOP_KEY, NEXT_SHOP_KEY)))


@dataclass(frozen=True)
class Knock:
    """An answer: its status, its headers by their names in small letters, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("x-amzn-errortype", "")

    @property
    def what_shows(self) -> tuple[int, dict[str, str], bytes]:
        """All of it that may differ for what was asked: the id and the time of each request are its own."""
        own = ("x-amzn-requestid", "date")
        return self.status, {name: value for name, value in self.headers.items() if name not in own}, self.body


def request(
    *headers: str, method: str = "POST", path: str = PATH, host: str = "localhost", body: bytes = BODY
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, f"Content-Length: {len(BODY)}", "", ""]
    return "\r\n".join(lines).encode() + BODY


def answers(data: bytes) -> Iterator[Knock]:
    """The answers in a stream of bytes."""
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        length = int(headers.get("content-length", 0))
        yield Knock(int(status.split()[1]), headers, rest[:length])
        data = rest[length:]


def exchange(connection: socket.socket, data: bytes) -> Knock:
    """The one answer to these bytes on a connection that stays open."""
    connection.sendall(data)
    got = b""
    while block := connection.recv(65536):
        got += block
        _, found, rest = got.partition(b"\r\n\r\n")
        if found and len(rest) >= int(next(answers(got)).headers.get("content-length", 0)):
            break
    return next(answers(got))


@dataclass
class Door:
    stand: Stand

    @property
    def port(self) -> int:
        return self.stand.settings.port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, data: bytes) -> list[Knock]:
        """All that is answered to these very bytes until the gateway hangs up, or is silent for a second."""
        with self.connect() as connection:
            connection.sendall(data)
            connection.settimeout(1.0)
            got = b""
            try:
                while block := connection.recv(65536):
                    got += block
            except TimeoutError:
                pass
        return list(answers(got))

    def knock(self, *headers: str, method: str = "POST", path: str = PATH, host: str = "localhost") -> Knock:
        with self.connect() as connection:
            return exchange(connection, request(*headers, method=method, path=path, host=host))

    def is_open_for(self, key: str, path: str = PATH) -> bool:
        answer = self.knock(f"X-Api-Key: {key}", path=path)
        assert answer.status in (200, 403), answer
        return answer.status == 200


@contextmanager
def open_door(engine: str, name: str, folder: Path, doors: Doors = DOORS, **more: object) -> Iterator[Door]:
    settings = {"callers": {"shop": {"key": {"file": "keys/shop"}}}, **more}
    with open_stand(engine, name, folder, settings=settings, doors=doors) as stand:
        for endpoint in ("churn", "other"):
            stand.serve(a_target("stable", 1, [stand.start("stable", endpoint=endpoint)]), endpoint=endpoint)
        yield Door(stand)


def what_the_model_saw(answer: Knock) -> dict[str, object]:
    assert answer.status == 200, answer
    seen: dict[str, object] = json.loads(answer.body)
    return seen
