"""Notebooks run by nbclient in the kernel "Python 3 (sagespec)", and what their cells showed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GUARD = Path(__file__).parent / "guard"

_RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=300, kernel_name="sagespec", allow_errors=True,
               resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[1])
"""


@dataclass(frozen=True)
class Cell:
    """text: all that it printed and returned, as plain text. error: of what it raised, "" if nothing. html: of its
    displays and of what it returned. kinds: the media types of these."""

    text: str
    error: str
    error_name: str
    html: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()

    def check(self) -> str:
        assert not self.error, self.error
        return self.text


@dataclass(frozen=True)
class Notebooks:
    """python: one that has Jupyter, and what the cells import. left: where the guard writes what left this machine."""

    python: Path
    project: Path
    scratch: Path

    @property
    def left(self) -> Path:
        return self.scratch / "left"

    @property
    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
        config, data = self.scratch / "jupyter-config", self.scratch / "jupyter-data"
        jupyter = {"JUPYTER_CONFIG_DIR": str(config), "JUPYTER_DATA_DIR": str(data), "IPYTHONDIR": str(config)}
        guarded = {"PYTHONPATH": str(GUARD), "LEFT_THIS_MACHINE": str(self.left)}
        return mine | jupyter | guarded | {"HOME": str(self.scratch)}

    def sagespec(self, *words: str) -> str:
        command = [str(self.python), "-m", "sagespec", *words]
        done = subprocess.run(command, cwd=self.project, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, cells: Sequence[str] | Path, *, folder: Path | None = None, **more: str) -> list[Cell]:
        """The code cells of a notebook, or these, one after another, whatever they raise."""
        self.sagespec("notebook", "--install-kernel")
        file = self.scratch / "run.ipynb"
        file.write_text(cells.read_text() if isinstance(cells, Path) else json.dumps(_notebook(cells)))
        done = subprocess.run(
            [str(self.python), "-c", _RUN, str(file), str(folder or self.project)],
            env=self.environment | more, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(file.read_text())["cells"]
        return [_cell(cell["outputs"]) for cell in found if cell["cell_type"] == "code"]

    def check_nothing_left(self) -> None:
        assert not self.left.exists(), self.left.read_text()


def _notebook(cells: Sequence[str]) -> dict[str, Any]:
    code: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "execution_count": None, "outputs": []}
        | {"source": cell}
        for number, cell in enumerate(cells)
    ]
    return {"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _cell(outputs: Sequence[Mapping[str, Any]]) -> Cell:
    texts = [output["text"] for output in outputs if output["output_type"] == "stream"]
    texts += [output["data"].get("text/plain", "") for output in outputs if "data" in output]
    errors = [output for output in outputs if output["output_type"] == "error"]
    error = "\n".join(errors[0]["traceback"]) if errors else ""
    shown = [output["data"] for output in outputs if "data" in output]
    html = tuple(_joined(data["text/html"]) for data in shown if "text/html" in data)
    kinds = frozenset(kind for data in shown for kind in data)
    return Cell("\n".join(map(_joined, texts)), error, errors[0]["ename"] if errors else "", html, kinds)


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
