"""A project that is renamed while it runs: what is left under its old name is told."""

from __future__ import annotations

from pathlib import Path

from sagespec.parts import Parts
from sagespec.runtimes.process.runtime import ProcessRuntime
from sagespec.verbs.names import left_under_old_names, remember_name
from sagespec.verbs.plan import plan
from tests.runtimes.process.probe import SLEEP, run


def named(root: Path, name: str) -> Parts:
    (root / "specs").mkdir(exist_ok=True)
    document = f"apiVersion: sagespec/v1\nkind: Project\nname: {name}\nruntime: process\n"
    (root / "sagespec.yaml").write_text(document)
    return Parts(root)


def test_a_renamed_project_says_what_runs_on_under_its_old_name(tmp_path: Path) -> None:
    (tmp_path / "images" / "probe").mkdir(parents=True)
    for word in ("train", "serve"):
        (tmp_path / "images" / "probe" / word).touch()
    runtime = ProcessRuntime("before", tmp_path / ".sagespec" / "containers", tmp_path / "images")
    run(runtime, SLEEP)
    remember_name(named(tmp_path, "before"))
    assert left_under_old_names(named(tmp_path, "before")) == ()
    renamed = named(tmp_path, "after")
    (note,) = plan(renamed).notes
    assert note.startswith("containers of this project run on under its old name before (1): set `name: before`")
    remember_name(renamed)
    assert left_under_old_names(renamed), "until they are gone"
    runtime.remove("job")
    remember_name(renamed)
    assert (tmp_path / ".sagespec" / "names").read_text() == "after\n"
