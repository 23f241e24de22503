"""`sagespec notebook` as a person runs it: who is let in, when it ends, and what is left of it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.overlay import make
from tests.ports import free_port

pytestmark = [pytest.mark.jupyter, pytest.mark.slow]

START_SECONDS, END_SECONDS = 90, 60


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("environment") / "python", "jupyter")


@dataclass
class Server:
    python: Path
    project: Path

    def command(self, *words: str) -> list[str]:
        return [str(self.python), "-m", "sagespec", "notebook", *words]

    @property
    def environment(self) -> dict[str, str]:
        scratch = self.project.parent
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME")
        return {**os.environ, "CI": "true", **{name: str(scratch / name.lower()) for name in names}}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=self.project, env=self.environment, capture_output=True, text=True, timeout=120
        )

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        with (self.project.parent / "out").open("w") as out:
            process = subprocess.Popen(
                self.command("--no-browser", "--port", str(free_port()), *words), cwd=self.project,
                env=self.environment, stdout=out, stderr=out, text=True,
            )  # fmt: skip
        try:
            until(lambda: "/lab" in self.said or process.poll() is not None, START_SECONDS)
            assert process.poll() is None, self.said
            yield process
        finally:
            process.kill()
            process.wait()
            self.all_has_ended()

    def all_has_ended(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while left := pids_of(self.project):
            log = self.project / ".sagespec" / "jupyter" / "log"
            assert time.monotonic() < deadline, (
                f"still there: {left}\n{log.read_text()[-2000:] if log.exists() else ''}"
            )
            time.sleep(0.1)

    @property
    def said(self) -> str:
        return (self.project.parent / "out").read_text()

    @property
    def url(self) -> str:
        return str(re.findall(r"(http://127\.0\.0\.1:\d+)/lab", self.said)[-1])

    @property
    def token(self) -> str:
        return str(re.findall(r"/lab\S*token=(\S+)", self.said)[-1])

    def ask(self, path: str, *, token: str = "", body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status, and what was answered. POSTs where there is a body."""
        wanted = {"Authorization": f"token {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, wanted | {k.title(): v for k, v in headers.items()})
        try:
            with opener().open(request, timeout=30) as answer:
                content = answer.read()
                is_json = "json" in answer.headers["Content-Type"]
                return answer.status, json.loads(content) if is_json else content.decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Location", "")


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))


def until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def pids_of(project: Path) -> Mapping[int, str]:
    """The processes that work in the project, or are a kernel of it: by the folder they are in."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == project:
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def kernels_of(project: Path) -> list[int]:
    return [pid for pid, command in pids_of(project).items() if "ipykernel_launcher" in command]


@pytest.fixture
def server(tmp_path: Path, python: Path) -> Server:
    project = tmp_path / "project"
    (project / "specs").mkdir(parents=True)
    (project / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: notebook-{tmp_path.name[-20:].lower().replace('_', '-')}\n"
        "runtime: process\n"
    )
    return Server(python, project)


def test_who_has_no_token_or_comes_by_another_name_is_refused(server: Server) -> None:
    with server.running():
        token, port = server.token, server.url.rpartition(":")[2]
        assert server.ask("/api/contents")[0] == 403
        assert server.ask("/api/contents", token="wrong")[0] == 403
        assert server.ask("/lab")[0] == 302
        assert "/login" in server.ask("/lab")[1]
        assert server.ask("/api/status", token=token)[0] == 200
        assert server.ask("/api/status", token=token, host=f"evil.example:{port}")[0] == 403
        assert server.ask("/api/status", token=token, host=f"localhost:{port}")[0] == 200
        foreign = {"origin": "https://evil.example", "cookie": "_xsrf=x"}
        assert server.ask("/api/terminals", body={}, **foreign)[0] == 404  # so says Jupyter to another origin
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((_own_address(), int(port)), timeout=5)


def _own_address() -> str:
    """Of this machine in a network, if it is in one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def test_the_token_is_for_the_eyes_of_its_owner(server: Server) -> None:
    """Neither on a command line nor in a file that others may read; and another one each time."""
    with server.running():
        first = server.token
        assert first not in "".join(pids_of(server.project).values()).replace(server.said, "")
        files = [file for file in (server.project / ".sagespec").rglob("*") if file.is_file()]
        holding = [file for file in files if first in file.read_text(errors="replace")]
        assert {file.name for file in holding} == {"token", "notebook.json"}
        assert all(file.stat().st_mode & 0o077 == 0 for file in holding)
    with server.running():
        assert server.token != first


def test_it_asks_nobody_for_news_and_offers_one_kernel(server: Server) -> None:
    with server.running():
        page = server.ask(f"/lab?token={server.token}")[1]
        config = json.loads(re.findall(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[0])
        assert config["news"]["disabled"] is True
        settings = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
        assert server.ask(settings, token=server.token)[1]["settings"] == {}
        assert '"default":"false"' in json.dumps(
            server.ask(settings, token=server.token)[1]["schema"]["properties"]["fetchNews"], separators=(",", ":")
        )
        assert config["extensionManager"]["can_install"] is False
        kernels = server.ask("/api/kernelspecs", token=server.token)[1]
        assert kernels["default"] == "python3"
        assert kernels["kernelspecs"]["python3"]["spec"]["display_name"] == "Python 3 (sagespec)"


def test_unused_it_ends_with_kernels_and_terminals(server: Server) -> None:
    with server.running("--idle", "5s") as process:
        server.ask("/api/kernels", token=server.token, body={"name": "python3"})
        server.ask("/api/terminals", token=server.token, body={})
        until(lambda: kernels_of(server.project), 30)
        process.wait(END_SECONDS)
        assert process.returncode == 0
        assert "nobody has used it for 5" in server.said
        assert not pids_of(server.project)


def test_a_kernel_that_computes_stays(server: Server) -> None:
    """And so does the server; both end once it has done."""
    with server.running("--idle", "12s") as process:  # longer than a client takes to come up
        kernel = server.ask("/api/kernels", token=server.token, body={"name": "python3"})[1]["id"]
        _execute(server, kernel, "import time; time.sleep(30)")
        time.sleep(18)
        assert process.poll() is None
        assert kernels_of(server.project)
        process.wait(END_SECONDS)
        assert not kernels_of(server.project)


def _execute(server: Server, kernel: str, code: str) -> None:
    """Run it in the kernel as a page would, and leave: by Jupyter's client, since the page's is a websocket."""
    program = (
        "import sys; from jupyter_client import BlockingKernelClient\n"
        "from pathlib import Path; import json, os\n"
        "file = next(Path(os.environ['JUPYTER_RUNTIME_DIR']).glob(f'kernel-{sys.argv[1]}.json'))\n"
        "client = BlockingKernelClient(connection_file=str(file)); client.load_connection_file()\n"
        "client.start_channels(); client.wait_for_ready(60); client.execute(sys.argv[2])\n"
        "client.get_iopub_msg(timeout=30)\n"
    )
    command = [str(server.python), "-c", program, kernel, code]
    subprocess.run(command, env=server.environment, check=True, timeout=90)


def test_two_at_once_are_one(server: Server) -> None:
    """The second says where the first is, and `--stop` ends it."""
    with server.running() as process:
        again = server.run("--no-browser")
        assert again.returncode == 0
        assert server.token in again.stdout
        assert str(process.pid) in again.stdout
        assert server.token in server.run("--list").stdout
        listed = json.loads(server.run("--list", "--output", "json").stdout)["notebooks"]
        assert [one["pid"] for one in listed] == [process.pid]
        other = server.run("--no-browser", "--port", str(free_port()))
        assert other.returncode == 1
        assert "runs for this project already" in other.stderr
        assert f"ended (pid {process.pid})" in server.run("--stop").stdout
        assert process.wait(END_SECONDS) == 0
        assert "no notebook" in server.run("--list").stdout
        assert "no notebook" in server.run("--stop").stdout


def test_a_notebook_is_opened_in_its_own_project(server: Server) -> None:
    """Wherever the command is given: its loop, its kernels and its page are of the project round the notebook."""
    inner = server.project / "inner"
    (inner / "specs").mkdir(parents=True)
    (inner / "sagespec.yaml").write_text((server.project / "sagespec.yaml").read_text().replace("name: ", "name: in-"))
    (inner / "some.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with server.running("inner/some.ipynb"):
        assert "/lab/tree/some.ipynb?token=" in server.said
        assert (inner / ".sagespec" / "api.json").is_file()
        assert not (server.project / ".sagespec" / "api.json").exists()
        assert [file["name"] for file in server.ask("/api/contents", token=server.token)[1]["content"]].count(
            "some.ipynb"
        )


def test_a_port_that_is_taken_is_said_with_who_has_it(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = server.run("--no-browser", "--port", str(port))
    assert refused.returncode == 1
    assert f"127.0.0.1:{port} is taken" in refused.stderr
    assert f"pid {os.getpid()}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_killed_it_leaves_nothing_and_starts_again(server: Server) -> None:
    with server.running() as process:
        server.ask("/api/kernels", token=server.token, body={"name": "python3"})
        until(lambda: kernels_of(server.project), 30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.all_has_ended()
        assert "no notebook" in server.run("--list").stdout
    with server.running():
        assert server.ask("/api/status", token=server.token)[0] == 200


def test_ctrl_c_ends_it_in_good_order(server: Server) -> None:
    with server.running() as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0
        assert "the notebook has ended: stopped" in server.said
        assert not pids_of(server.project)


def test_a_missing_extra_is_one_sentence(server: Server) -> None:
    """With a Python that has sagespec and no Jupyter: the one that runs the tests."""
    import sys

    bare = Server(Path(sys.executable), server.project)
    refused = bare.run("--no-browser")
    if refused.returncode == 0:
        pytest.skip("this Python has Jupyter")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "a notebook needs jupyterlab, which is not installed here",
        "  fix  pip install 'sagespec[notebook]'",
    ]
