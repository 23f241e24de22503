"""`sagespec dashboard` as a process: where it listens, what it says, whom it turns away, and how it ends."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.ports import free_port
from tests.scenarios.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, project_name: str) -> Workspace:
    return Workspace(tmp_path / "project", project_name, "process")


@pytest.fixture
def served(workspace: Workspace) -> Iterator[tuple[Workspace, subprocess.Popen[str], str]]:
    """The running command, and the address that it has printed."""
    port = str(free_port())
    with workspace.running("dashboard", "--write", "--output", "json", "--port", port) as process:
        assert process.stdout is not None
        yield workspace, process, json.loads(process.stdout.readline())["url"]


def ask(
    url: str, method: str = "GET", path: str = "/", body: str = "", **headers: str
) -> tuple[int, dict[str, str], str]:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port or 0, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, None, given)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def test_the_address_that_is_printed_opens_it_and_nothing_else_does(
    served: tuple[Workspace, subprocess.Popen[str], str],
) -> None:
    workspace, _, url = served
    place = urlsplit(url)
    status, headers, _ = ask(url, path=f"/?{place.query}")
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"].partition(";")[0]
    status, headers, page = ask(url, Cookie=cookie)
    assert status == 200
    assert workspace.name in page
    rows = [
        (421, {"Host": f"evil.example:{place.port}"}),
        (403, {"Sec_Fetch_Site": "cross-site"}),
        (403, {"Origin": "http://evil.example"}),
        (200, {"Sec_Fetch_Site": "same-origin", "Origin": f"http://{place.netloc}"}),
    ]
    assert [ask(url, Cookie=cookie, **given)[0] for _, given in rows] == [status for status, _ in rows]
    assert ask(url)[0] == 401
    assert ask(url, "POST", "/plan/apply", Cookie=cookie)[0] == 403
    assert ask(url, "POST", "/plan/apply", Cookie=cookie, X_Sagespec_Token="0" * 64)[0] == 403
    assert ask(url, path="/jobs.json", Authorization=f"Bearer {place.query.partition('=')[2]}")[2] == '{"jobs":[]}\n'


def test_it_is_found_by_others_while_it_runs(served: tuple[Workspace, subprocess.Popen[str], str]) -> None:
    workspace, process, url = served
    folder = workspace.root / ".sagespec"
    assert json.loads((folder / "dashboard.json").read_text()) == {"url": url, "pid": process.pid}
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("dashboard.json", "dashboard.key")]
    assert modes == [0o600, 0o600]
    again = workspace.run("dashboard", code=1)
    assert f"pid {process.pid} listens at" in again.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not (folder / "dashboard.json").exists()
    with workspace.running("dashboard", "--output", "json") as second:
        assert second.stdout is not None
        token = urlsplit(json.loads(second.stdout.readline())["url"]).query
        assert token == urlsplit(url).query  # browsers stay signed in


def test_on_an_address_of_others_it_does_not_start_without_auth(workspace: Workspace) -> None:
    settings = workspace.root / "sagespec.yaml"
    settings.write_text(settings.read_text() + "dashboard:\n  host: 0.0.0.0\n")
    said = workspace.run("dashboard", code=1).stderr
    assert "sagespec.yaml:8:9" in said
    assert "auth: token" in said
    workspace.run("plan")  # nothing else minds
