"""A real Chromium that looks at a real project, whose loop and dashboard run in this process, as in `sagespec up`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sagespec.dashboard.happenings import Happenings
from sagespec.dashboard.serving import serving
from sagespec.project import Project
from sagespec.reconcile.options import Options
from sagespec.web.loop import Loop
from sagespec.web.snapshots import Snapshots
from tests import sdks
from tests.ports import free_port

HOSTILE = "<img src=x onerror=alert(1)> </pre><script>alert(2)</script>"
NO_NAMES = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # as where there is no DNS

# Prints what its hyperparameters ask for: lines with metrics, fast or slowly, and a line that no page must obey.
SCRIPT = f"""\
import math, os, time
from pathlib import Path
hp = lambda name, otherwise: os.environ.get(f"SM_HP_{{name}}", otherwise)
steps, pause = int(hp("STEPS", "20")), float(hp("PAUSE", "0"))
for step in range(steps):
    loss = 0.7 * math.exp(-step / 25) + 0.1
    print(f"[{{step}}] loss={{loss:.5f}} auc={{1 - loss / 1.6:.5f}}", flush=True)
    time.sleep(pause)
print({HOSTILE!r}, flush=True)
if hp("FAIL", ""):
    raise SystemExit("ValueError: " + {HOSTILE!r})
Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("x")
"""
FIRST = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1
framework: sklearn
entry_point: train.py
source_dir: ../src
hyperparameters: {steps: 40, api_token: hunter2x}
metrics:
  - {name: "validation:binary_classification_accuracy", regex: 'auc=([0-9.]+)'}
  - {name: "train:loss", regex: 'loss=([0-9.]+)'}
"""


def job_like(name: str, version: int, hyperparameters: str) -> str:
    return (
        "---\napiVersion: sagespec/v1\nkind: TrainingJob\nlike: churn@1\n"
        f"name: {name}\nversion: {version}\nhyperparameters: {{{hyperparameters}}}\n"
    )


def write_project(root: Path, name: str, specs: str) -> None:
    (root / "specs").mkdir(parents=True)
    (root / "src").mkdir()
    (root / "src" / "train.py").write_text(SCRIPT)
    (root / "specs" / "all.yaml").write_text(specs)
    (root / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: {name}\nruntime: process\ngateway: {{port: {free_port()}}}\n"
    )


@contextmanager
def shown(root: Path, *, with_loop: bool = True, write: bool = True) -> Iterator[tuple[Project, str]]:
    """The project, and the address of its dashboard, with the token."""
    with Project.open(root) as project:
        happenings = Happenings()
        with serving(project, Snapshots(project.status), happenings, port=free_port(), write=write) as served:
            loop = Loop(project, Options(), happenings.tell)
            if with_loop:
                loop.start()
            try:
                yield project, served.url
            finally:
                if with_loop:
                    loop.stop()
                project.destroy()


@dataclass
class Tab:
    """A page of the browser. said: what its console said. asked: the hosts it asked."""

    page: Any
    base: str
    said: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def picture(self, name: str, folder: Path) -> None:
        where = Path(os.environ.get("SAGESPEC_PICTURES") or folder)
        self.page.screenshot(path=where / f"{name}.png", full_page=True)


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=sdks.browser(), args=["--no-sandbox", NO_NAMES])
        try:
            yield browser
        finally:
            browser.close()


def tab_of(browser: Any, url: str, **given: Any) -> Tab:
    """Signed in by the address that is printed. given: of the browser's context."""
    page = browser.new_context(**given).new_page()
    parts = urlsplit(url)
    tab = Tab(page, f"{parts.scheme}://{parts.netloc}")
    page.on("console", lambda message: tab.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: tab.said.append(f"error: {error}"))
    page.on("request", lambda request: tab.asked.add(urlsplit(request.url).netloc))
    page.on("dialog", lambda dialog: tab.said.append(f"dialog: {dialog.message}"))  # it then waits for ever
    page.goto(url)
    return tab
