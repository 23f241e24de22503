"""A project whose control plane runs, and clients made for SageMaker that work there: each a process of its own, by the
Python of its own environment, with nothing changed in it, and with a guard that lets it reach this machine alone."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer

from tests import sdks
from tests.scenarios.workspace import REPOSITORY, Workspace

HERE = Path(__file__).parent
_START_SECONDS = 60


@dataclass
class Desk:
    """folder: where clients run, with data of real tumours: a label, then 30 measures."""

    workspace: Workspace
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        write_tumours(self.folder)
        root = self.workspace.root
        (root / ".gitignore").write_text(".sagespec/\ndata/\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "begin"]):
            self.git(*words)

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        command = ["git", *identity, *words]
        return subprocess.run(command, cwd=self.workspace.root, check=True, capture_output=True, text=True).stdout

    @contextmanager
    def api(self) -> Iterator[subprocess.Popen[bytes]]:
        """`sagespec api`; killed at the end of the block. What it says is in `api.log`: a pipe that nobody reads would
        hold it up."""
        place, log = self.workspace.root / ".sagespec" / "api.json", self.folder / "api.log"
        place.unlink(missing_ok=True)
        with log.open("ab") as said:
            process = subprocess.Popen(
                self.workspace.command("api"),
                cwd=self.workspace.root,
                env=self.workspace.env,
                stdout=said,
                stderr=said,
            )
        try:
            give_up_at = time.monotonic() + _START_SECONDS
            while not place.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at
                time.sleep(0.05)
            yield process
        finally:
            process.kill()
            process.wait()

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """What `sagespec env` says, once."""
        found: dict[str, str] = self.workspace.json("env")
        return found

    def environment(self, *, kernel: bool = False) -> dict[str, str]:
        """Of a client: what `sagespec env` says, and the guard. kernel: with what the notebook's kernel adds."""
        variables: Mapping[str, str] = self.workspace.json("env")
        path = [str(HERE / "guard"), str(REPOSITORY)]
        return {
            **variables,
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONWARNINGS": "ignore",
            "SAGESPEC_TEST_GUARD": str(self.folder / "left-this-machine"),
            **({"SAGESPEC_TEST_KERNEL": "1"} if kernel else {}),
        }

    def start(self, client: str, *arguments: str, kernel: bool = False) -> subprocess.Popen[str]:
        command = [str(sdks.python(client)), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(kernel=kernel),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str], *, timeout: float = 300) -> str:
        """What a client has printed, once it has ended well and without trying to leave this machine."""
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"still runs after {timeout} s:\n{process.communicate()[0]}") from None
        tried = self.folder / "left-this-machine"
        assert not tried.exists(), tried.read_text()
        assert process.returncode == 0, said
        return said

    def run(self, client: str, script: str, *arguments: str, kernel: bool = False) -> dict[str, Any]:
        """What a script of `scripts/` has found, which it prints last, as JSON."""
        said = self.end(self.start(client, str(HERE / "scripts" / script), *arguments, kernel=kernel))
        last = said.strip().splitlines()[-1]
        assert last.startswith("{"), said
        return dict(json.loads(last)) | {"said": said}

    def assert_only(self, *files: str) -> None:
        """The clients' work is exactly these new files, which are valid, and which nothing is left to be done for."""
        changed = [line.split(maxsplit=1)[1] for line in self.git("status", "--porcelain", "-uall").splitlines()]
        assert sorted(changed) == sorted(files)
        self.workspace.run("validate")
        plan = self.workspace.json("plan")
        assert (plan["actions"], plan["refused"]) == ([], [])


def write_tumours(folder: Path) -> None:
    """train.csv, test.csv: the label first, no header. rows.csv: of the latter without labels."""
    features, labels = load_breast_cancer(return_X_y=True)
    table = np.column_stack([labels, features])
    np.savetxt(folder / "train.csv", table[:400], delimiter=",", fmt="%.10g")
    np.savetxt(folder / "test.csv", table[400:], delimiter=",", fmt="%.10g")
    np.savetxt(folder / "rows.csv", table[400:, 1:], delimiter=",", fmt="%.10g")


def accuracy(scores: list[float], folder: Path) -> float:
    labels = np.loadtxt(folder / "test.csv", delimiter=",")[:, 0]
    return float(np.mean((np.array(scores) > 0.5) == labels))
