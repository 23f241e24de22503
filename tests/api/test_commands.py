"""`sagespec api`, `up` and `env` as programs."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.ports import free_port

SAGESPEC = (sys.executable, "-m", "sagespec")


@contextmanager
def running(root: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """One of the commands that serve, once it listens; killed in the end if it still runs."""
    with (root / "output.log").open("w") as log:
        process = subprocess.Popen([*SAGESPEC, "-C", str(root), *words], stdout=log, stderr=log, text=True)
    try:
        until(lambda: (root / ".sagespec" / "api.json").exists() or process.poll() is not None)
        assert process.poll() is None, (root / "output.log").read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def run(root: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **more}
    return subprocess.run([*SAGESPEC, "-C", str(root), *words], capture_output=True, text=True, env=environment)


@pytest.fixture
def api(root: Path) -> Iterator[subprocess.Popen[str]]:
    with running(root, "--runtime", "process", "api", "--port", str(free_port())) as process:
        yield process


WHO = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"


def test_a_program_run_with_the_environment_finds_the_control_plane(root: Path, api: object) -> None:
    found = run(root, "env", "--", sys.executable, "-c", WHO, AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
    assert (found.returncode, found.stdout) == (0, "arn:aws:sts::000000000000:assumed-role/sagespec/local\n"), found


def test_a_shell_that_evaluates_it_finds_it_too(root: Path, api: object) -> None:
    text = run(root, "env", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9", AWS_SESSION_TOKEN="old").stdout
    assert text.startswith("unset AWS_ENDPOINT_URL_S3\nunset AWS_SESSION_TOKEN\n")
    script = f'{text}\nexec {sys.executable} -c "{WHO}"'
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert found.stdout == "arn:aws:sts::000000000000:assumed-role/sagespec/local\n", found


def test_the_exit_code_is_the_commands(root: Path, api: object) -> None:
    assert run(root, "env", "--", "sh", "-c", "exit 7").returncode == 7
    missing = run(root, "env", "--", "no-such-program")
    assert (missing.returncode, missing.stderr) == (127, "sagespec env: no-such-program: No such file or directory\n")


def test_what_programs_read_is_json(root: Path, api: object) -> None:
    found = json.loads(run(root, "env", "--output", "json").stdout)
    place = json.loads((root / ".sagespec" / "api.json").read_text())
    assert found["AWS_ENDPOINT_URL"] == place["url"]
    assert Path(found["SAGEMAKER_USER_CONFIG_OVERRIDE"]).is_absolute()
    assert "TelemetryOptOut: true" in Path(found["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text()


def test_without_a_control_plane_it_says_how_to_start_one(root: Path) -> None:
    found = run(root, "env")
    assert (found.returncode, found.stdout) == (1, "")
    assert "sagespec up" in found.stderr


def test_a_second_one_is_refused_and_told_who_is_first(root: Path, api: subprocess.Popen[str]) -> None:
    found = run(root, "--runtime", "process", "api")
    assert found.returncode == 1
    assert f"pid {api.pid} listens at" in found.stderr
    assert api.poll() is None


def test_a_port_that_is_taken_is_refused_and_told_by_whom(root: Path) -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]) as other:
        until(lambda: _listens(port))
        found = run(root, "--runtime", "process", "api", "--port", str(port))
        other.terminate()
    assert found.returncode == 1
    assert f"127.0.0.1:{port} is taken" in found.stderr
    assert f"pid {other.pid}" in found.stderr


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(root: Path, api: subprocess.Popen[str], number: int) -> None:
    api.send_signal(number)
    assert api.wait(20) == 0, (root / "output.log").read_text()
    assert not (root / ".sagespec" / "api.json").exists()


def test_a_killed_one_leaves_nothing_in_the_way_of_the_next(root: Path) -> None:
    port = str(free_port())
    with running(root, "--runtime", "process", "api", "--port", port) as first:
        first.kill()
        first.wait()
    assert (root / ".sagespec" / "api.json").exists()
    assert run(root, "env").returncode == 1
    (root / ".sagespec" / "api.json").unlink()
    with running(root, "--runtime", "process", "api", "--port", port):
        assert run(root, "env").returncode == 0


def test_nobody_else_can_read_the_key(root: Path, api: object) -> None:
    modes = {name: stat.S_IMODE((root / ".sagespec" / name).stat().st_mode) for name in ("api.key", "api.json")}
    assert modes == {"api.key": 0o600, "api.json": 0o600}


def test_without_auth_nobody_must_sign(root: Path) -> None:
    with (root / "sagespec.yaml").open("a") as settings:
        settings.write("api: {auth: none}\n")
    with running(root, "--runtime", "process", "api", "--port", str(free_port())):
        url = json.loads((root / ".sagespec" / "api.json").read_text())["url"]
        session: Any = boto3.Session()
        client = session.client(
            "sts", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
        )
        assert client.get_caller_identity()["Account"] == "000000000000"


def test_up_serves_the_dashboard_too(root: Path) -> None:
    with running(root, "--runtime", "process", "up", "--port", str(free_port())) as process:
        until(lambda: (root / ".sagespec" / "dashboard.json").exists())
        url = json.loads((root / ".sagespec" / "dashboard.json").read_text())["url"]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(url) as page:
            assert "sagespec" in page.read().decode()
        assert run(root, "env").returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_the_next_one_listens_where_the_last_one_did(root: Path) -> None:
    """So that a notebook which was given the address goes on."""
    port = free_port()
    with running(root, "--runtime", "process", "api", "--port", str(port)) as first:
        first.kill()
        first.wait()
    (root / ".sagespec" / "api.json").unlink()
    with running(root, "--runtime", "process", "api"):
        place = json.loads((root / ".sagespec" / "api.json").read_text())
    assert place["url"] == f"http://127.0.0.1:{port}"
