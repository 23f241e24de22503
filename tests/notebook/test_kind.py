"""`kind: Notebook` from its spec to its end, on both runtimes: started, opened, left alone, killed, gone."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests import built
from tests.notebook import overlay
from tests.ports import free_port

pytestmark = [pytest.mark.jupyter, pytest.mark.slow]
RUNTIMES = ["process", pytest.param("docker", marks=pytest.mark.docker)]
OPENS_WITHIN_SECONDS = 120.0
ROLE = "arn:aws:iam::000000000000:role/sagespec"


class Desk:
    """A project with notebooks, and the command that a person has who installed the extra."""

    def __init__(self, root: Path, name: str, runtime: str, python: Path) -> None:
        self.root, self.python = root, python
        (root / "specs").mkdir(parents=True)
        text = f"apiVersion: sagespec/v1\nkind: Project\nname: {name}\nruntime: {runtime}\n"
        (root / "sagespec.yaml").write_text(text)

    def spec(self, **fields: Any) -> None:
        lines = [f"{field}: {json.dumps(value)}" for field, value in fields.items()]
        head = ["apiVersion: sagespec/v1", "kind: Notebook", "name: work"]
        (self.root / "specs" / "work.yaml").write_text("\n".join([*head, *lines]) + "\n")

    def run(self, *words: str, fails: bool = False) -> str:
        command = [str(self.python), "-m", "sagespec", *words]
        ended = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False, timeout=300)
        assert bool(ended.returncode) == fails, ended.stdout + ended.stderr
        return ended.stdout

    @property
    def row(self) -> dict[str, Any]:
        (row,) = json.loads(self.run("status", "--output", "json"))["notebooks"]
        return dict(row)

    def ask(self, path: str, *, token: bool = True, method: str = "GET") -> Any:
        (listed,) = json.loads(self.run("notebook", "--list", "--output", "json"))["notebooks"]
        base, _, secret = listed["url"].partition("/lab?token=")
        headers = {"Authorization": f"token {secret}"} if token else {}
        request = urllib.request.Request(f"{base}/api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


def until(holds: Callable[[], bool], seconds: float = OPENS_WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlay.make(tmp_path_factory.mktemp("python") / "env", "jupyter")


@pytest.fixture(params=RUNTIMES)
def desk(request: pytest.FixtureRequest, tmp_path: Path, project_name: str, python: Path) -> Desk:
    if request.param == "docker":
        built.ready("notebook")
    return Desk(tmp_path / "project", project_name, request.param, python)


def test_a_notebook_is_open_once_apply_has_ended(desk: Desk) -> None:
    (desk.root / "specs" / "start.sh").write_text("echo started > $HOME_FOLDER/on_start.txt\n")
    desk.spec(on_start="start.sh", environment={"HOME_FOLDER": str(desk.root), "GREETING": "hello"}, folder="..")
    assert "start-notebook  notebook/work  new" in desk.run("plan")
    desk.run("apply")
    row = desk.row
    assert row["state"] == "running"
    assert "token" not in row["url"]
    assert (desk.root / "on_start.txt").read_text() == "started\n"
    assert desk.ask("status")["kernels"] == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        desk.ask("kernels", token=False)
    assert refused.value.code == 403
    refused.value.close()
    assert "sagespec.yaml" in [entry["name"] for entry in desk.ask("contents")["content"]]
    assert desk.ask("kernels", method="POST")["name"] == "python3"
    assert "nothing to do" in desk.run("plan")
    desk.spec(on_start="start.sh", environment={"GREETING": "other"}, folder="..")
    assert "its spec changed" in desk.run("plan")
    desk.spec(running=False)
    assert "remove-container  notebook/work  running: false" in desk.run("apply")
    assert desk.row["state"] == "stopped"
    assert (desk.root / "on_start.txt").exists()


TAKES_ITS_PORT = """\
port=$(sed -n 's/.*"port": \\([0-9]*\\).*/\\1/p' "$SAGESPEC_NOTEBOOK")
timeout 60 python3 -m http.server --bind 127.0.0.1 "$port" &
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
"""


def test_a_notebook_whose_port_another_program_takes_as_it_starts_gets_the_next(desk: Desk) -> None:
    (desk.root / "specs" / "start.sh").write_text(TAKES_ITS_PORT)
    desk.spec(on_start="start.sh")
    desk.run("apply")
    assert desk.ask("status")["kernels"] == 0
    assert "is taken by now: notebook work moves to" in desk.run("logs", "notebook/work")
    assert "nothing to do" in desk.run("plan")


def test_nobody_uses_it_and_it_stops_until_it_is_asked_for(desk: Desk) -> None:
    desk.spec(idle="6s")
    desk.run("apply")
    until(lambda: desk.row["state"] == "idle")
    assert "`sagespec restart notebook/work` starts it" in desk.run("apply")
    assert desk.row["state"] == "idle"
    said = desk.run("restart", "notebook/work")  # and it may be idle again by the time that anybody looks
    assert re.search(r"^done +start-notebook +notebook/work", said, re.MULTILINE), said
    assert "notebook work listens on" in desk.run("logs", "notebook/work")


@contextmanager
def control_plane(desk: Desk) -> Iterator[Any]:
    """boto3's client of a `sagespec api` of the project."""
    command = [str(desk.python), "-m", "sagespec", "api", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=desk.root, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            until(lambda: (desk.root / ".sagespec" / "api.json").exists())
            given = json.loads(desk.run("env", "--output", "json"))
            found = given.get("variables", given)
            yield boto3.client(
                "sagemaker",
                endpoint_url=found["AWS_ENDPOINT_URL"],
                region_name="us-east-1",
                aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
            )
        finally:
            process.terminate()
            process.wait(60)


def test_notebook_instances_are_notebooks_of_specs(tmp_path: Path, project_name: str, python: Path) -> None:
    desk = Desk(tmp_path / "project", project_name, "process", python)
    name = {"NotebookInstanceName": "work"}
    script = base64.b64encode(b"echo prepared > prepared.txt").decode()
    with control_plane(desk) as client:
        client.create_notebook_instance_lifecycle_config(
            NotebookInstanceLifecycleConfigName="ready", OnStart=[{"Content": script}]
        )
        wanted = {**name, "InstanceType": "ml.t3.medium", "RoleArn": ROLE, "LifecycleConfigName": "ready"}
        client.create_notebook_instance(**wanted)
        with pytest.raises(ClientError, match="already existing"):
            client.create_notebook_instance(**wanted)
        with pytest.raises(ClientError, match="not in"):
            client.delete_notebook_instance(**name)
        client.get_waiter("notebook_instance_in_service").wait(**name)
        assert (desk.root / "prepared.txt").read_text() == "prepared\n"
        url = client.create_presigned_notebook_instance_url(**name)["AuthorizedUrl"]
        with urllib.request.urlopen(url.replace("/lab?", "/api/status?")) as answer:
            assert answer.status == 200
        (listed,) = client.list_notebook_instances()["NotebookInstances"]
        assert listed["NotebookInstanceStatus"] == "InService"
        client.stop_notebook_instance(**name)
        client.get_waiter("notebook_instance_stopped").wait(**name)
        assert "running: false" in (desk.root / "specs/notebook/notebook-work.yaml").read_text()
        client.start_notebook_instance(**name)
        client.get_waiter("notebook_instance_in_service").wait(**name)
        client.stop_notebook_instance(**name)
        client.get_waiter("notebook_instance_stopped").wait(**name)
        client.delete_notebook_instance(**name)
        client.get_waiter("notebook_instance_deleted").wait(**name)
        assert not (desk.root / "specs/notebook/notebook-work.yaml").exists()
    assert "nothing to do" in desk.run("plan")


def test_what_cannot_start_says_why(desk: Desk) -> None:
    (desk.root / "specs" / "start.sh").write_text("echo nothing here; exit 3\n")
    desk.spec(on_start="start.sh")
    told = desk.run("apply", fails=True)
    assert "nothing here" in told
    assert "on_start ended with exit code 3" in told
    (desk.root / "specs" / "start.sh").write_text("exit 0\n")
    desk.run("apply")
    assert desk.row["state"] == "running"
