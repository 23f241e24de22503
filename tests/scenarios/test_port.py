"""The gateway's port where sagespec.yaml names none: 8080, or another when that is taken, and then always the same."""

from __future__ import annotations

import fcntl
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sagespec.gateway.launch import USUAL_PORTS, gateway_hash, port_from_hash, with_port
from sagespec.gateway.ports import is_taken
from sagespec.spec.project import GatewaySettings
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


@pytest.fixture
def open_port(workspace: Workspace) -> Workspace:
    """A project that names no port."""
    workspace.edit(r"gateway: .*\n", "", file="sagespec.yaml")
    workspace.write(job(1) + endpoint("only model@1 1"))
    return workspace


@pytest.fixture
def jenkins() -> Iterator[int]:
    """Somebody has 8080: this test, or another program of this machine. One such test at a time: the ports are few."""
    with ExitStack() as held, (Path(tempfile.gettempdir()) / "sagespec-test-ports").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_taken("127.0.0.1", 8080):
            held.enter_context(socket.create_server(("127.0.0.1", 8080)))
        yield 8080


def url_of(workspace: Workspace) -> str:
    (row,) = workspace.json("status")["endpoints"]
    return str(row["url"])


def test_another_port_is_taken_said_and_kept(open_port: Workspace, jenkins: int) -> None:
    said = open_port.run("apply").stdout
    url = url_of(open_port)
    port = int(url.split(":")[2].split("/")[0])
    assert port != jenkins
    assert port in USUAL_PORTS
    assert f"port {jenkins} is taken by" in said
    assert f"the gateway listens on {port}" in said
    assert url in said
    assert open_port.run("invoke", "answers", "--data", "hello").stdout
    again = open_port.json("apply")
    assert again["outcomes"] == []
    assert open_port.json("plan")["actions"] == []
    assert url_of(open_port) == url


def test_a_lost_checkout_finds_the_port_again(open_port: Workspace, jenkins: int) -> None:
    open_port.run("apply")
    url = url_of(open_port)
    for note in (open_port.root / ".sagespec").glob("*port*"):
        note.unlink()
    assert url_of(open_port) == url
    assert jenkins != int(url.split(":")[2].split("/")[0])


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
def test_a_second_project_listens_beside_the_first(open_port: Workspace, jenkins: int, tmp_path: Path) -> None:
    open_port.run("apply")
    (tmp_path / "other").mkdir()
    other = Workspace(tmp_path / "other", f"{open_port.name}-b", "process")
    other.edit(r"gateway: .*\n", "", file="sagespec.yaml")
    other.write(job(1) + endpoint("only model@1 1"))
    try:
        other.run("apply")
        assert url_of(other) != url_of(open_port)
        assert other.run("invoke", "answers", "--data", "hello").stdout
    finally:
        other.run("destroy", "--yes")
    assert jenkins


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
def test_a_port_that_is_set_is_not_left(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    with socket.create_server(("127.0.0.1", workspace.port)):
        result = workspace.run("apply", code=1)
    assert f"the gateway cannot listen on 127.0.0.1:{workspace.port}" in result.stdout + result.stderr
    assert "set gateway.port" in result.stdout + result.stderr


def test_the_hash_of_a_gateway_says_its_port() -> None:
    settings = GatewaySettings()
    assert gateway_hash(with_port(settings, 8080)) == gateway_hash(GatewaySettings(port=8080)) == gateway_hash(settings)
    assert port_from_hash(settings, gateway_hash(GatewaySettings(port=8099))) == 8099
    assert port_from_hash(settings, gateway_hash(GatewaySettings(port=9000))) is None
    assert port_from_hash(GatewaySettings(host="0.0.0.0"), gateway_hash(settings)) is None
