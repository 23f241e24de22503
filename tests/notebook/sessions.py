"""A project whose notebook runs, as `sagespec notebook` starts it, and notebooks run in it without leaving this
machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.notebook.cells import Cell, Notebooks
from tests.ports import free_port

START_SECONDS, END_SECONDS = 90, 60


def project_in(folder: Path, name: str) -> Path:
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    (folder / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: {name}\nruntime: process\ngateway: {{port: {free_port()}}}\n"
    )
    (folder / ".gitignore").write_text(".sagespec/\ndata/\n.ipynb_checkpoints/\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "begin"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True)
    return folder


@contextmanager
def opened(notebooks: Notebooks) -> Iterator[subprocess.Popen[str]]:
    """`sagespec notebook` of the project, with all that it runs beside."""
    out = notebooks.scratch / "out"
    command = [str(notebooks.python), "-m", "sagespec", "notebook", "--no-browser", "--port", str(free_port())]
    with out.open("w") as file:
        process = subprocess.Popen(
            command, cwd=notebooks.project, env=notebooks.environment, stdout=file, stderr=file, text=True
        )
    deadline = time.monotonic() + START_SECONDS
    try:
        while "token=" not in out.read_text().partition("notebook  ")[2]:
            assert process.poll() is None, out.read_text()
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(END_SECONDS)


def changed(project: Path) -> list[str]:
    """What `git status` shows, one file a line."""
    shown = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(line[3:] for line in shown.stdout.splitlines())


def check(cells: list[Cell]) -> list[str]:
    """What each showed; none has failed. SDK 2 shows errors as text, so that is looked at, too."""
    for cell in cells:
        assert "Traceback (most recent call last)" not in cell.text, cell.text[-4000:]
    return [cell.check() for cell in cells]


def cells_of(file: Path) -> list[str]:
    """Of a program whose cells begin with `# %%`, as editors have it."""
    return [f"# %%{cell}" for cell in file.read_text().split("# %%")[1:]]
