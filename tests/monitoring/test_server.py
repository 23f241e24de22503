"""Who is answered at the address of Prometheus."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from sagespec.errors import WorldError
from sagespec.listener import MOST_AT_ONCE
from sagespec.monitoring.server import serving
from sagespec.spec.prometheus import PrometheusSettings
from tests.ports import free_port

TOKEN = "correct-horse-battery"


def ask(port: int, path: str = "/metrics", host: str = "", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}", **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def served(root: Path, **settings: object) -> Iterator[int]:
    port = free_port()
    with serving(PrometheusSettings.model_validate({"port": port, **settings}), root, lambda: "up 1\n"):
        yield port


def test_prometheus_is_answered(tmp_path: Path) -> None:
    with served(tmp_path) as port:
        assert ask(port) == (200, b"up 1\n")
        assert ask(port, host=f"localhost:{port}")[0] == 200
        assert ask(port, "/")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "127.0.0.1"])
def test_another_name_of_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    with served(tmp_path) as port:
        assert ask(port, host=host)[0] == 421


def test_a_name_in_the_settings_is_answered(tmp_path: Path) -> None:
    with served(tmp_path, hosts=["ml.example.com"]) as port:
        assert ask(port, host="ml.example.com")[0] == 200


def test_with_a_token_only_who_has_it_is_answered(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with served(tmp_path, host="0.0.0.0", token_file="token") as port:
        assert ask(port)[0] == 401
        assert ask(port, Authorization=f"Bearer {TOKEN}x")[0] == 401
        assert ask(port, f"/metrics?token={TOKEN}")[0] == 401
        assert ask(port, host="ml.example.com", Authorization=f"Bearer {TOKEN}") == (200, b"up 1\n")
        file.write_text("another-horse-battery")
        assert ask(port, Authorization=f"Bearer {TOKEN}")[0] == 401
        file.unlink()
        assert ask(port, Authorization="Bearer ")[0] == 401


def test_beyond_this_machine_a_token_is_needed() -> None:
    with pytest.raises(ValidationError, match="could read the names of your models"):
        PrometheusSettings(host="0.0.0.0")


@pytest.mark.parametrize("content", [None, "", "short"])
def test_a_token_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(WorldError, match="token"), served(tmp_path, token_file="token"):
        pass


def test_who_listens_on_its_port_is_named(tmp_path: Path) -> None:
    with served(tmp_path) as port, pytest.raises(WorldError, match=f"127.0.0.1:{port} is taken"):
        with serving(PrometheusSettings(port=port), tmp_path, str):
            pass


def test_clients_that_say_nothing_are_in_nobodys_way_for_long(tmp_path: Path) -> None:
    with served(tmp_path) as port, ExitStack() as stack:
        for _ in range(2 * MOST_AT_ONCE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 200
