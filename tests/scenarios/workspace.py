"""A project in a folder of its own, driven as a person would: files edited, the command run, the world looked at."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagespec.project import Project
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.runtimes.choose import images_dir
from sagespec.runtimes.protocol import Runtime
from sagespec.state.observed import Container
from sagespec.state.progress import Progress
from sagespec.stores.open import open_store
from tests import built
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Workspace:
    """runtime: docker or process. environment: added to the command's."""

    root: Path
    name: str
    runtime: str
    store: str = "file://.sagespec/store"
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        if self.runtime == "docker":
            built.ready(*built.SMALL)
        (self.root / "specs").mkdir(parents=True, exist_ok=True)
        (self.root / "sagespec.yaml").write_text(
            f"apiVersion: sagespec/v1\nkind: Project\nname: {self.name}\nstore: {self.store}\n"
            f"runtime: {self.runtime}\ngateway: {{port: {self.port}}}\n"
        )
        (self.root / "data").mkdir(exist_ok=True)
        (self.root / "data" / "train.csv").write_text("1,0.5,0.25\n0,0.1,0.9\n")

    # -- what a person does

    def write(self, text: str, file: str = "specs/all.yaml") -> None:
        (self.root / file).write_text(text)

    def edit(self, pattern: str, replacement: str, file: str = "specs/all.yaml") -> None:
        """Replace the one place where `pattern` matches; it must match."""
        path = self.root / file
        text, count = re.subn(pattern, replacement, path.read_text(), count=1)
        assert count == 1, f"{pattern!r} is not in {file}"
        path.write_text(text)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sagespec", *words]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(REPOSITORY), "CI": "true", **self.environment}

    def run(self, *words: str, code: int | None = 0, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; `code` is the exit code it must give (None: any)."""
        result = subprocess.run(
            self.command(*words), cwd=self.root, env=self.env, capture_output=True, text=True, timeout=timeout
        )
        if code is not None:
            assert result.returncode == code, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """The command while it runs; killed at the end of the block."""
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def json(self, *words: str, code: int | None = 0) -> Any:
        """What the command says with --output json (its one document, or its last line)."""
        output = self.run(*words, "--output", "json", code=code).stdout
        try:
            return json.loads(output)
        except json.JSONDecodeError:
            return json.loads(output.strip().splitlines()[-1])

    def explain(self, folder: Path) -> None:
        """Leave what the command says of the project in `folder`."""
        for word in ("status", "plan"):
            said = self.run(word, code=None)
            (folder / f"{word}.txt").write_text(said.stdout + said.stderr)

    # -- what is there

    @contextmanager
    def engine(self) -> Iterator[Runtime]:
        if self.runtime == "docker":
            from sagespec.runtimes.docker.runtime import DockerRuntime

            with DockerRuntime(self.name, images_dir()) as docker:
                yield docker
            return
        with self.project() as project:
            yield project.parts.runtime

    @contextmanager
    def project(self) -> Iterator[Project]:
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            with Project.open(self.root) as project:
                yield project
        finally:
            os.environ.clear()
            os.environ.update(before)

    def containers(self) -> tuple[Container, ...]:
        with self.engine() as engine:
            return engine.containers()

    def names(self) -> dict[str, str]:
        """Container names by address."""
        return {str(container.address): container.name for container in self.containers()}

    def records(self) -> Records:
        return Records(open_store(self.store, root=self.root), self.name)

    def rollouts(self) -> Mapping[str, Progress]:
        """Those that have begun, by endpoint."""
        return Leases(open_store(self.store, root=self.root), self.name).look().rollouts

    def invoke(
        self,
        endpoint: str,
        body: str,
        variant: str | None = None,
        *,
        content_type: str = "text/csv",
        accept: str | None = None,
    ) -> tuple[int, str, str]:
        """Status, text and variant of one request."""
        with self.project() as project:
            answer = project.invoke(
                endpoint, body.encode(), content_type=content_type, accept=accept, variant=variant, check=False
            )
            return answer.status, answer.body.decode(), answer.variant


def wait_until(claim: Callable[[], bool], seconds: float = 90.0) -> None:
    """Look again and again until the claim holds."""
    import time

    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.1)
