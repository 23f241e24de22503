"""The page on Project: its cells are run, in the order in which they stand, in the project that `init` makes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sagespec
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "project.md"
CELLS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_public_name_of_the_page_is_there() -> None:
    assert set(re.findall(r"from sagespec import (\w+)", PAGE.read_text())) <= set(sagespec.__all__)
    for name in re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE):
        assert issubclass(getattr(sagespec, name), sagespec.SagespecError)


def test_tab_offers_the_public_names_before_any_is_used() -> None:
    code = "import sagespec, sys; print(*dir(sagespec)); assert 'sagespec.project' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(sagespec.__all__)
    for name in sagespec.__all__:
        assert getattr(sagespec, name) is not None


def test_what_few_use_is_imported_when_it_is_used() -> None:
    """Every command waits for the import of Project."""
    few = ("forge", "verbs.proposals", "verbs.watch", "spec.source", "spec.report", "webhook", "pull")
    code = "import sagespec.project, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {f"sagespec.{name}" for name in few} & set(done.stdout.split()) == set()


@pytest.mark.slow
def test_the_cells_of_the_page_run_at_a_prompt(tmp_path: Path, project_name: str) -> None:
    """Typed at Python's own prompt, where a bare value shows itself as text."""
    from tests.ports import free_port

    sagespec_command = [sys.executable, "-m", "sagespec"]
    subprocess.run([*sagespec_command, "init", str(tmp_path)], check=True, capture_output=True)
    (tmp_path / "sagespec.yaml").write_text(
        f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\nruntime: process\n"
        f"gateway: {{port: {free_port()}}}\n"
    )
    typed = "\n".join(CELLS) + "\nproject.stop('churn@1')\nproject.destroy()\n"
    done = subprocess.run(
        [sys.executable, "-i", "-q"], input=typed, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    wrong = [line for line in done.stderr.splitlines() if line.startswith(("sagespec.", "TypeError", "NameError"))]
    assert len(wrong) == 1, done.stderr  # what is asked of an ended job
    assert "job/churn@1 is not running: it ended at" in wrong[0]
    for shown in (
        "1 to train, 2 to start, 1 to route",
        "everything is up to date (6 done)",
        "job/churn@1  trained",
        "algo-1 | [39]",
        "validation:auc",
        "REVISION  STATUS",
        "nothing to do: everything is up to date",
        "(True, ())",
        "'stable')",
        "200 text/csv from stable",
        "endpoint/churn",
    ):
        assert shown in done.stdout, shown
    assert "object at 0x" not in done.stdout
    assert "Plan(" not in done.stdout
