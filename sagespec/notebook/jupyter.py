"""A JupyterLab on loopback, as a child of this process: its options, its start, what its API says, its end.

Its own defences stay: the token, the check of Host, the check of forms (XSRF). It asks nobody for news, updates or
extensions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from sagespec.errors import WorldError
from sagespec.notebook.idle import idle_since

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0  # in which kernels save what they save
ANSWER_SECONDS = 10.0
CULL_SECONDS = 60  # how often Jupyter looks for idle kernels, at most
LINES_SHOWN = 8

_OPENER = build_opener(ProxyHandler({}))  # a proxy has no part in what stays on this machine


@dataclass(frozen=True)
class Lab:
    """What a Jupyter server is started with.

    folder: what it shows. opens: a notebook in it, or "". data: where its kernels are described. token_file: holds the
    token. log: None for the output of this process. idle_seconds: when unused kernels and terminals end; 0 for never.
    """

    folder: Path
    opens: str
    port: int
    data: Path
    token_file: Path
    log: Path | None
    idle_seconds: float

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def token(self) -> str:
        return self.token_file.read_text()

    @property
    def page(self) -> str:
        """What a browser opens: the token makes it a session."""
        path = f"/lab/tree/{quote(self.opens)}" if self.opens else "/lab"
        return f"{self.url}{path}?token={self.token}"


def options(lab: Lab) -> list[str]:
    """Those of `jupyter lab`."""
    wanted = [
        f"--ServerApp.root_dir={lab.folder}",
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={lab.port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.open_browser=False",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
    ]
    if os.geteuid() == 0:
        wanted.append("--allow-root")  # in a container people are; what runs jobs as root may run a notebook
    if lab.idle_seconds:
        seconds = max(1, round(lab.idle_seconds))
        interval = max(1, min(CULL_SECONDS, seconds // 2))
        for culler, timeout in (("MappingKernelManager", "cull_idle"), ("TerminalManager", "cull_inactive")):
            wanted += [f"--{culler}.{timeout}_timeout={seconds}", f"--{culler}.cull_interval={interval}"]
    return wanted


def environment(lab: Lab, base: Mapping[str, str]) -> dict[str, str]:
    """The token is in a file: other users see a command line, and what is in an environment is handed on."""
    paths = {
        name: os.pathsep.join([str(lab.data), *filter(None, [base.get(name)])])
        for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
    }
    kept = {name: value for name, value in base.items() if name != "JUPYTER_TOKEN"}
    return kept | paths | {"JUPYTER_TOKEN_FILE": str(lab.token_file)}


def write_defaults(data: Path) -> None:
    """Settings of the page, which its user may change: it does not ask whether it may ask for news."""
    file = data / "labconfig" / "default_setting_overrides.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    file.write_text(json.dumps(settings, indent=1) + "\n")


class Jupyter:
    """A server that was started. It ends with this process, however that ends: see `child`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        write_defaults(lab.data)
        with lab.log.open("wb") if lab.log else nullcontext() as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sagespec.notebook.child", *options(lab)],
                cwd=lab.folder, env=environment(lab, os.environ), stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is ours to hear
            )  # fmt: skip

    def wait_until_it_answers(self, cancelled: threading.Event) -> None:
        """Or until `cancelled`. WorldError with its last lines when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                self.ask("status")
                return
            if cancelled.wait(0.1):
                return
        code = self.process.poll()
        self.stop()
        what = "Jupyter did not start" if code is None else f"Jupyter ended with exit code {code} as it started"
        raise self.failure(what)

    def ask(self, path: str) -> Any:
        """What /api/PATH answers; asking is no use of the server. OSError when it does not answer."""
        url = f"{self.lab.url}/api/{path}?no_track_activity=1"
        request = Request(url, headers={"Authorization": f"token {self.lab.token}"})  # noqa: S310  # http, to loopback
        with _OPENER.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.loads(answer.read())

    def idle_since(self) -> datetime | None:
        """None while it is used, or too busy to say."""
        try:
            return idle_since(self.ask("status"), self.ask("kernels"), self._terminals())
        except OSError:
            return None

    def _terminals(self) -> list[Any]:
        try:
            found: list[Any] = self.ask("terminals")
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:  # of a Jupyter that has no terminals
                raise
            return []
        return found

    def failure(self, what: str) -> WorldError:
        """With the last lines of its log, where it has one of its own."""
        fix = f"the whole log is {self.lab.log}" if self.lab.log else ""
        return WorldError(what, why=self.last_lines(), fix=fix)

    def last_lines(self) -> str:
        if not self.lab.log:
            return ""
        lines = self.lab.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-LINES_SHOWN:])

    def stop(self) -> None:
        """Ends it with its kernels and terminals."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        if self.process.poll() is None:
            self.process.kill()  # its kernels see that it is gone, and end
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
