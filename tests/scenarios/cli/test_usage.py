"""Start, help and usage."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sagespec.cli.given import OPTIONS
from sagespec.cli.main import main, sagespec
from tests.scenarios.specs import job
from tests.scenarios.workspace import REPOSITORY, Workspace


@pytest.mark.parametrize("words", [["--help"], ["apply", "--help"], ["version"], ["completion", "bash"], ["nonsense"]])
def test_nothing_heavy_is_imported_before_it_is_needed(words: list[str]) -> None:
    script = (
        "import sys; from sagespec.cli.main import main\n"
        f"try: main({words})\nexcept SystemExit: pass\n"
        "heavy = ('pydantic', 'docker', 'boto3', 'rich', 'yaml', 'watchdog', 'pathspec', 'webbrowser', 'cheroot')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


NEVER = "docker boto3 botocore watchdog pathspec regex plotext numpy sagespec.passes sagespec.converge sagespec.run.run"
NOT_TO_VALIDATE = "sagespec.reconcile.reconcile sagespec.observe sagespec.gateway.gateway sagespec.run.jobs"


@pytest.mark.parametrize(
    ("words", "never", "most"),
    [
        ("validate", f"{NEVER} {NOT_TO_VALIDATE}", 250),
        ("plan", f"{NEVER} sagespec.run.jobs", 320),
        ("status", f"{NEVER} sagespec.run.jobs", 350),
        ("show churn", f"{NEVER} {NOT_TO_VALIDATE}", 170),
    ],
    ids=["validate", "plan", "status", "show"],
)
def test_a_command_that_only_looks_imports_what_it_looks_with(
    words: str, never: str, most: int, tmp_path: Path
) -> None:
    """Every module is paid for at each start. most: of our own modules; a tenth above what it was when this was
    written, so that one that brings a whole room with it is seen."""
    assert main(["init", str(tmp_path)]) == 0
    script = (
        "import sys; from sagespec.cli.main import main\n"
        f"code = main(['--runtime', 'process', *{words.split()}])\n"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stderr.splitlines()[-1].split())
    assert loaded & set(never.split()) == set()
    assert sum(name.startswith("sagespec.") for name in loaded) <= most


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["plan", "--nonsense"],
        ["plan", "--output", "yaml"],
        ["apply", "--wait", "soon"],
        ["-C", "/nowhere/at/all", "plan"],
        ["invoke", "churn"],
        ["invoke", "churn", "--data", "1", "-"],
        ["invoke", "churn", "--file", "/nowhere/at/all"],
        ["rollback", "churn", "--to", "0"],
        ["logs"],
        ["completion", "csh"],
    ],
)
def test_wrong_usage_ends_with_64(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 64
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            ["invoke", "subs", "data/holdout.csv"],
            "data/holdout.csv is no option: did you mean --file data/holdout.csv?",
        ),
        (["invoke", "subs", "1,2,3"], "did you mean --data 1,2,3?"),
        (["invoke", "subs", "--data", "@data/holdout.csv"], "did you mean --file data/holdout.csv?"),
        (["apply", "specs/a.yaml"], "(specs/a.yaml); specs are given by -f: -f specs/a.yaml"),
        (["plan", "a.yml", "b.yaml"], "specs are given by -f: -f a.yml -f b.yaml"),
        (["validate", "/tmp"], "specs are given by -f: -f /tmp"),
    ],
)
def test_a_word_in_the_wrong_place_is_shown_its_option(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 64
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere(closed: str, workspace: Workspace) -> None:
    workspace.write(job(1))
    command = f"{sys.executable} -m sagespec -C {workspace.root} validate {closed}"
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("words", [["plan"], ["doctor"], ["init"], ["-C", ".", "status"]])
def test_a_current_folder_that_is_gone_is_told(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"cd gone && rmdir ../gone && {sys.executable} -P -m sagespec {' '.join(words)}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.returncode == 1
    assert result.stderr.startswith("the current folder is gone\n")
    assert "Traceback" not in result.stderr


def test_from_a_folder_that_is_gone_places_of_problems_are_absolute(workspace: Workspace) -> None:
    workspace.write("kind: Nonsense\n")
    (workspace.root / "gone").mkdir()
    command = f"cd gone && rmdir ../gone && {sys.executable} -P -m sagespec -C {workspace.root} validate"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=workspace.root, env=environment)
    assert result.stderr.startswith(f"{workspace.root}/specs/all.yaml:1")


def test_a_mistyped_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aply"]) == 64
    assert 'there is no command aply; did you mean "apply"?' in capsys.readouterr().err


def _commands() -> Iterator[tuple[str, click.Command]]:
    for name, command in sagespec.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        else:
            yield name, command


def test_every_command_and_option_is_documented() -> None:
    text = (REPOSITORY / "docs" / "commands.md").read_text()
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    common = sections.pop("Common options")
    assert {f"sagespec {name}" for name, _ in _commands()} == sections.keys()
    for name, command in _commands():
        section = sections[f"sagespec {name}"]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                longest = max(parameter.opts, key=len)
                assert f"`{longest}" in section or f"`{longest}" in common, f"{name} {longest} is not in commands.md"
            elif parameter.name == "source":
                assert "`-`" in section


@pytest.mark.parametrize(("name", "command"), list(_commands()))
def test_every_help_says_what_and_shows_an_example(name: str, command: click.Command) -> None:
    summary = (command.help or "").split("\n")[0]
    assert 10 < len(summary) <= 64, "the list of commands would cut it"
    assert summary.endswith(".")
    assert name in ("version",) or f"sagespec {name}" in (command.epilog or "")
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option))


def test_common_options_stand_before_or_after_the_command(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write(job(1), "specs/one.yaml")
    workspace.write("nonsense: true\n", "specs/two.yaml")
    here = str(workspace.root)
    assert main(["-C", here, "-f", "specs/one.yaml", "validate"]) == 0
    assert main(["validate", "-C", here, "-f", "specs/one.yaml"]) == 0
    assert main(["-C", here, "-f", "specs/two.yaml", "validate", "-f", "specs/one.yaml"]) == 0
    assert main(["-C", here, "validate"]) == 1
    capsys.readouterr()
    assert main(["--output", "json", "-C", here, "-f", "specs/one.yaml", "validate"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == 1
    assert main(["--output", "markdown", "-C", here, "validate"]) == 64
    assert len(OPTIONS) == 5


def test_version_says_the_same_in_all_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == main(["--version"]) == main(["version", "--output", "json"]) == 0
    lines = capsys.readouterr().out.split("\n", 2)
    assert json.loads(lines[2])["sagespec"] == lines[1].removeprefix("sagespec ") == lines[0].split()[1].rstrip(",")
