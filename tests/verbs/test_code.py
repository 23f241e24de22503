"""A requirements.txt that does not go along is noted before a job fails for want of its packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.project import Project

JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: a
version: {}
framework: sklearn
entry_point: train.py
source_dir: code
"""
NEEDED = "which requirements.txt needs; change the line that names it"
NAMES = (
    "numpy\n-r more.txt\n./wheels/x.whl[extra]  # ours\n-e lib\n--find-links wheels\nhttps://a.b/c.whl\n-r gone.txt\n"
)


@pytest.mark.parametrize(
    ("ignored", "left_out"),
    [
        (
            "*.txt\n",
            ["requirements.txt, whose packages will not be installed; add a line to keep it: !requirements.txt"],
        ),
        ("*.txt\n!requirements.txt\n", [f"more.txt, {NEEDED}"]),
        ("wheels/\nlib/\n", [f"wheels/x.whl, {NEEDED}", f"lib, {NEEDED}"]),
        ("*.csv\n", []),
        (None, []),
    ],
)
def test_what_requirements_need_and_the_folder_leaves_out_is_noted(
    tmp_path: Path, ignored: str | None, left_out: list[str]
) -> None:
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: demo\n")
    code = tmp_path / "specs/code"
    for path in ("train.py", "more.txt", "wheels/x.whl", "lib/setup.py"):
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).write_text("")
    (code / "requirements.txt").write_text(NAMES)
    if ignored is not None:
        (code / ".sagespecignore").write_text(ignored)
    (tmp_path / "specs/a.yaml").write_text("---\n".join(JOB.format(version) for version in (1, 2)))
    with Project(tmp_path, runtime="process") as project:
        expected = [f"job/a@1: specs/code/.sagespecignore leaves out {text}" for text in left_out]
        assert list(project.validate().notes) == expected
        assert [note for note in project.plan().notes if "sagespecignore" in note] == expected
