"""The gateway's port where sagespec.yaml names none: 8080, or another when that is taken, and then always the same."""

from __future__ import annotations

import fcntl
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from sagespec.errors import SpecError
from sagespec.gateway import launch
from sagespec.gateway.ports import USUAL_PORTS
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace, wait_until

only_processes = pytest.mark.parametrize("workspace", ["process"], indirect=True)


@pytest.fixture
def open_port(workspace: Workspace) -> Workspace:
    """A project that names no port."""
    workspace.edit(r"gateway: .*\n", "", file="sagespec.yaml")
    workspace.write(job(1) + endpoint("only model@1 1"))
    return workspace


@pytest.fixture
def jenkins() -> Iterator[int]:
    """Somebody has 8080: this test, or a program that stays.

    What another test has there is waited for, as it may go while this one still needs the port to be taken. One such
    test at a time: the ports are few.
    """
    with ExitStack() as held, (Path(tempfile.gettempdir()) / "sagespec-test-ports").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        give_up_at, is_ours = time.monotonic() + 90, False
        while not is_ours and time.monotonic() < give_up_at:
            try:
                held.enter_context(socket.create_server(("127.0.0.1", 8080)))
                is_ours = True
            except OSError:
                time.sleep(0.1)
        yield 8080


def beside(first: Workspace, folder: Path) -> Workspace:
    """A second project that names no port."""
    (folder / "other").mkdir()
    other = Workspace(folder / "other", f"{first.name}-b", "process")
    other.edit(r"gateway: .*\n", "", file="sagespec.yaml")
    other.write(job(1) + endpoint("only model@1 1"))
    return other


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


def test_the_port_is_kept_whatever_else_changes(
    open_port: Workspace, jenkins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_port.run("apply")
    url = url_of(open_port)
    assert f":{jenkins}/" not in url
    open_port.edit("kind: Project\n", "kind: Project\ngateway: {host: 0.0.0.0, open: true}\n", file="sagespec.yaml")
    assert "start-gateway" in str(open_port.json("plan")["actions"][0])
    open_port.run("apply")
    assert url_of(open_port) == url
    monkeypatch.setattr(launch, "FORMAT", launch.FORMAT + 1)  # a release that needs gateways to be started again
    with open_port.project() as project:
        assert [action.verb for action in project.plan()][:1] == ["start-gateway"]
        assert project.apply().ok
        assert project.endpoint_url("answers") == url
        assert project.invoke("answers", b"hello").status == 200


@only_processes
def test_an_apply_that_waited_for_another_keeps_the_port_of_that(open_port: Workspace, jenkins: int) -> None:
    with open_port.project() as early:
        assert early.plan().actions  # looked before there was a gateway
        open_port.edit("hyperparameters: {}", "hyperparameters: {sleep: 3}")
        with open_port.running("apply") as first, ThreadPoolExecutor(1) as thread:
            wait_until(lambda: bool(open_port.containers()))
            said: list[str] = []
            second = thread.submit(
                early.apply, wait_for_lock_seconds=60, report=lambda event: said.append(event.text)
            ).result(90)
            assert first.wait(60) == 0
        assert second.ok
        assert second.outcomes == ()
        url = url_of(open_port)
        assert early.endpoint_url("answers") == url
        assert early.invoke("answers", b"hello").status == 200
    assert f":{jenkins}/" not in url


@only_processes
def test_writing_the_port_out_is_noticed_by_an_open_project(open_port: Workspace, jenkins: int) -> None:
    with open_port.project() as project:
        assert project.apply().ok
        kept = int(project.gateway_url.rpartition(":")[2])
        open_port.edit("kind: Project\n", f"kind: Project\ngateway: {{port: {jenkins}}}\n", file="sagespec.yaml")
        assert [action.verb for action in project.plan()][:1] == ["start-gateway"]
        open_port.edit(f"port: {jenkins}", f"port: {kept}", file="sagespec.yaml")
        assert not project.plan().actions


@only_processes
def test_two_first_applies_at_once_get_a_port_each(open_port: Workspace, jenkins: int, tmp_path: Path) -> None:
    other = beside(open_port, tmp_path)
    try:
        with open_port.running("apply") as one, other.running("apply") as two:
            assert [one.wait(120), two.wait(120)] == [0, 0]
        assert len({url_of(open_port), url_of(other), f"http://127.0.0.1:{jenkins}"}) == 3
    finally:
        other.run("destroy", "--yes")


def test_without_an_engine_a_wrong_spec_is_reported_first(
    open_port: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    open_port.edit("runtime: .*", "runtime: docker", file="sagespec.yaml")
    open_port.write(job(1) + endpoint("only model@2 1"))
    with open_port.project() as project:
        with pytest.raises(SpecError, match="model@2"):
            project.apply()
        assert project.gateway_url == "http://127.0.0.1:8080"


@only_processes
def test_a_second_project_listens_beside_the_first(open_port: Workspace, jenkins: int, tmp_path: Path) -> None:
    open_port.run("apply")
    other = beside(open_port, tmp_path)
    try:
        other.run("apply")
        assert url_of(other) != url_of(open_port)
        assert other.run("invoke", "answers", "--data", "hello").stdout
    finally:
        other.run("destroy", "--yes")
    assert jenkins


@only_processes
def test_a_port_that_is_set_is_not_left(workspace: Workspace) -> None:
    workspace.write(job(1) + endpoint("only model@1 1"))
    with socket.create_server(("127.0.0.1", workspace.port)):
        result = workspace.run("apply", code=1)
    assert f"the gateway cannot listen on 127.0.0.1:{workspace.port}" in result.stdout + result.stderr
    assert "set gateway.port" in result.stdout + result.stderr
