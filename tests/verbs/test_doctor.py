"""The doctor: what it finds on machines that are well, and on those that are not."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.project import Project
from sagespec.records.lock import project_lock
from sagespec.runtimes.choose import choose
from sagespec.runtimes.protocol import Check
from sagespec.state.addresses import job_address
from sagespec.stores.protocol import StoreAway
from sagespec.verbs.locked import refuse_other_runtime
from tests.fakes import others
from tests.ports import free_port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    port = free_port()
    (tmp_path / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: sick\nruntime: process\ngateway: {{port: {port}}}\n"
    )
    return tmp_path


def look(folder: Path) -> dict[str, Check]:
    with Project(folder, (), None) as project:
        return {check.name: check for check in project.checks()}


@pytest.fixture
def taken_port(folder: Path) -> Iterator[int]:
    with (
        Project.open(folder) as project,
        socket.create_server(("127.0.0.1", project.parts.settings.gateway.port)) as server,
    ):
        yield server.getsockname()[1]


def test_a_commit_that_is_not_recorded_is_a_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(folder)["git"].ok
    (folder / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert "git is not installed" in look(folder)["git"].detail
    assert not look(folder)["git"].ok


def test_a_checkout_that_cannot_be_written_has_no_clock_to_compare(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = folder / "sagespec.yaml"
    settings.write_text(f"{settings.read_text()}store: {tmp_path_factory.mktemp('store')}\n")
    (folder / ".sagespec").touch()  # in the way of a folder: so is a disk that is mounted read-only
    check = look(folder)["clock"]
    assert check.ok
    assert "cannot be written" in check.detail


def test_a_well_project_has_nothing_to_mend(folder: Path) -> None:
    found = look(folder)
    assert [check for check in found.values() if not check.ok] == []
    assert {"sagespec", "project", "specs", "runtime", "disk", "store", "lock", "gateway port", "clock"} <= found.keys()
    assert found["lock"].detail == "free"


def test_another_runtime_than_that_of_the_last_apply_is_said(folder: Path) -> None:
    (folder / ".sagespec").mkdir(exist_ok=True)
    (folder / ".sagespec/runtime").write_text("docker\n")
    found = look(folder)
    assert (found["runtime"].ok, found["runtime"].fix[:37]) == (False, "`sagespec destroy --runtime docker` f")


def test_the_way_from_a_swarm_that_the_settings_do_not_name_any_more_is_said(folder: Path) -> None:
    """`sagespec destroy --runtime swarm` would not know its registry."""
    (folder / ".sagespec").mkdir(exist_ok=True)
    (folder / ".sagespec/runtime").write_text("swarm\n")
    check = look(folder)["runtime"]
    assert (check.ok, check.fix.startswith("write runtime: {swarm: {registry: ")) == (False, True)
    with Project(folder, (), None) as project, pytest.raises(WorldError) as caught:
        refuse_other_runtime(project.parts)
    assert [problem.fix[:16] for problem in caught.value.problems] == ["write runtime: {"]


def test_the_store_is_left_as_it_was(folder: Path) -> None:
    look(folder)
    with Project(folder, (), None) as project:
        assert project.parts.store.entries() == ()


def test_without_a_project_the_rest_is_looked_at(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert not found["project"].ok
    assert "sagespec init" in found["project"].fix
    assert "runtime" in found
    assert "store" not in found


def test_broken_settings_are_said_once_with_their_place(folder: Path) -> None:
    (folder / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: sick\nruntme: process\n")
    found = look(folder)
    assert found["project"].detail.startswith("sagespec.yaml:4:1  ")
    assert [name for name, check in found.items() if not check.ok] == ["project"]


def test_broken_specs_do_not_hide_the_rest(folder: Path) -> None:
    (folder / "specs" / "a.yaml").write_text("kind: Nothing\n---\nkind: Nothing\n")
    found = look(folder)
    assert "(and 1 more)" in found["specs"].detail
    assert [name for name, check in found.items() if not check.ok] == ["specs"]


def test_a_taken_port_names_its_holder(folder: Path, taken_port: int) -> None:
    check = look(folder)["gateway port"]
    assert not check.ok
    assert str(taken_port) in check.detail
    assert "gateway.port" in check.fix


def test_a_store_that_refuses_is_said(folder: Path) -> None:
    (folder / ".sagespec").mkdir()
    (folder / ".sagespec" / "store").write_text("a file where the folder should be")
    check = look(folder)["store"]
    assert not check.ok
    assert "store" in check.detail


class _ForgetfulStore:
    """Takes conditions for what they are not, as some S3 servers do."""

    uri = "s3://forgetful"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        self.objects.setdefault(key, data)
        return "etag"

    def read(self, key: str) -> tuple[bytes, str] | None:
        return (self.objects[key], "etag") if key in self.objects else None

    def delete(self, key: str) -> None:
        del self.objects[key]


class _WithForgetfulStore(Parts):
    store = _ForgetfulStore()  # type: ignore[assignment]


def test_a_store_without_conditional_writes_is_no_store(folder: Path) -> None:
    with Project(folder, (), None) as project:
        project.parts = _WithForgetfulStore(folder)
        found = {check.name: check for check in project.checks()}
    assert "If-None-Match" in found["store"].detail


class _AwayStore(_ForgetfulStore):
    asked = 0

    def write(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        self.asked += 1
        raise StoreAway("it is silent")

    def read_many(self, _keys: object) -> dict[str, bytes]:
        raise AssertionError("it is asked once more")


class _WithAwayStore(Parts):
    store = _AwayStore()  # type: ignore[assignment]


def test_a_store_that_is_away_is_waited_for_once(folder: Path) -> None:
    (folder / "specs" / "a.yaml").write_text("kind: Nothing\n")
    with Project(folder, (), None) as project:
        project.parts = _WithAwayStore(folder)
        found = {check.name: check for check in project.checks()}
        assert project.parts.store.asked == 1
    assert [name for name, check in found.items() if not check.ok] == ["store", "specs"]
    assert "lock" not in found


def test_the_holder_of_the_lock_is_named_with_its_id(folder: Path) -> None:
    with Project(folder, (), None) as project, project_lock(project.parts.store, "sick", command="apply") as lock:
        check = {check.name: check for check in project.checks()}["lock"]
        assert check.ok
        assert "sagespec apply of" in check.detail
        assert f"id {lock.holder.id}" in check.detail
        assert "running, as far as" in check.detail


def test_a_lock_from_the_future_tells_of_a_wrong_clock(folder: Path) -> None:
    with Project(folder, (), None) as project:
        later = datetime.fromtimestamp(time.time() + 3600, UTC)
        with project_lock(project.parts.store, "sick", command="apply", clock=lambda: later):
            found = [check for check in project.checks() if check.name == "clock"]
    assert [check.ok for check in found] == [False, True]


def test_an_engine_that_is_asked_for_and_not_there_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with Project(folder, (), "docker") as project:
        found = {check.name: check for check in project.checks()}
    assert not found["runtime"].ok
    assert "no Docker engine answers" in found["runtime"].detail
    with pytest.raises(WorldError):
        choose("docker", "sick", folder)


def test_the_runs_at_work_are_named(folder: Path) -> None:
    assert look(folder)["runs"].detail == "none is running"
    with Project(folder, (), None) as project:
        ada = others.ada(datetime.now(UTC))
        others.show(project.parts.store, ada, project_name="sick")
        others.follow(project.parts.store, job_address("slow", 1), ada, project_name="sick")
    assert look(folder)["runs"].detail == f"{ada}\njob/slow@1 is followed by {ada}"


def test_whether_edits_are_noticed_is_shown(folder: Path) -> None:
    assert look(folder)["edits"].detail == "noticed by `watch` at once"


def test_a_secret_that_git_would_take_is_told(folder: Path) -> None:
    """It is one `git add -A` away from everybody who reads the repository."""
    with (folder / "sagespec.yaml").open("a") as settings:
        settings.write("secrets: {smtp: file:keys/smtp}\n")
    (folder / "keys").mkdir()
    file = folder / "keys" / "smtp"
    file.write_text("a-long-password\n")
    file.chmod(0o600)
    assert look(folder)["secret smtp"].ok, "there is no repository"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    found = look(folder)["secret smtp"]
    assert not found.ok
    assert "keys/smtp is not ignored by git" in found.detail
    (folder / ".gitignore").write_text("keys/\n")
    assert look(folder)["secret smtp"].ok
