"""install.sh: which sagespec is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.github import ACTION, ROOT, Runner, read


@pytest.mark.parametrize(
    ("version", "installed"),
    [
        ("", str(ROOT)),
        ("[local]", f"{ROOT}[local]"),
        ("1.2.0", "sagespec==1.2.0"),
        ("sagespec[local]>=1,<2", "sagespec[local]>=1,<2"),
        ("ci/requirements.txt", "--requirement ci/requirements.txt"),
    ],
)
def test_version_says_what_pip_installs(runner: Runner, version: str, installed: str) -> None:
    """python3 is one that keeps its arguments: what pip does with them is pip's."""
    runner.script(
        "python3",
        f'echo "$@" >>"{runner.folder}/python"\n'
        'if [[ "$1 $2" == "-m venv" ]]; then mkdir -p "${!#}/bin"; cp "$0" "${!#}/bin/python"; fi',
    )
    step = next(step for step in read(ACTION / "action.yml")["runs"]["steps"] if step["name"] == "Install sagespec")
    for _ in range(2):  # a second use in the same job finds it installed
        process = runner.start(step, {"inputs": {"version": version}})
        assert process.communicate(timeout=30)[0] == ""
        assert process.returncode == 0

    calls = (runner.folder / "python").read_text().splitlines()
    assert len(calls) == 2
    assert calls[1] == f"-m pip install --quiet --disable-pip-version-check {installed}"
    on_path = Path((runner.folder / "github_path").read_text().splitlines()[-1])
    assert [file.name for file in on_path.iterdir()] == ["sagespec"]


def test_version_none_needs_a_sagespec_on_path(runner: Runner) -> None:
    step = next(step for step in read(ACTION / "action.yml")["runs"]["steps"] if step["name"] == "Install sagespec")
    environment = {**step, "env": {"VERSION": "none", "PATH": "/usr/bin:/bin"}}
    process = runner.start(environment, {})
    assert "there is no sagespec on PATH" in process.communicate(timeout=30)[0]
    assert process.returncode == 1
