"""The commands as a shell sees them: exit codes, streams, signals, help, completion.

What needs an engine runs on local processes, with the test image as its algorithm.
"""

from __future__ import annotations

import http.server
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sagespec.cli.asking import guess_content_type
from sagespec.cli.given import OPTIONS
from sagespec.cli.main import main, sagespec
from sagespec.cli.signals import Interrupt
from sagespec.errors import WorldError
from sagespec.events import Event, EventKind
from sagespec.records.lock import project_lock
from sagespec.state.addresses import Address
from sagespec.verbs.addresses import resolve_address
from tests.ports import free_port
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import REPOSITORY, Workspace, wait_until

CODE = [sys.executable, "-m", "sagespec"]


@pytest.fixture
def workspace(tmp_path: Path, project_name: str) -> Workspace:
    """A project on local processes; what it runs is removed with its name."""
    return Workspace(tmp_path / "project", project_name, "process")


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    """A trained job and an endpoint with two variants."""
    workspace.write(job(1) + job(2) + endpoint("stable model@1 1", "candidate model@2 1"))
    workspace.run("apply")
    return workspace


def shell(command: str, workspace: Workspace, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.replace("sagespec", " ".join(CODE))],
        cwd=workspace.root,
        env=workspace.env | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def in_terminal(workspace: Workspace, *words: str, typed: str = "") -> tuple[int, str]:
    """Exit code and output of a command that believes a person sits before it; `typed` is what they type."""
    person, terminal = pty.openpty()
    environment = {name: value for name, value in workspace.env.items() if name != "CI"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [*CODE, *words], cwd=workspace.root, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    os.write(person, typed.encode())
    shown = b""
    while True:
        try:
            part = os.read(person, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            part = b""
        if not part:
            break
        shown += part
    os.close(person)
    return process.wait(60), shown.decode()


# -- start, help, usage ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["apply", "--help"], ["version"], ["completion", "bash"], ["nonsense"]])
def test_nothing_heavy_is_imported_before_it_is_needed(words: list[str]) -> None:
    script = (
        "import sys; from sagespec.cli.main import main\n"
        f"try: main({words})\nexcept SystemExit: pass\n"
        "print([m for m in ('pydantic', 'docker', 'boto3', 'rich', 'yaml', 'watchdog') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


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
    assert len(OPTIONS) == 4


def test_version_says_the_same_in_all_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == main(["--version"]) == main(["version", "--output", "json"]) == 0
    lines = capsys.readouterr().out.split("\n", 2)
    assert json.loads(lines[2])["sagespec"] == lines[1].removeprefix("sagespec ") == lines[0].split()[1].rstrip(",")


# -- without an engine -----------------------------------------------------------------------------


def test_init_writes_a_project_that_validates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "demo")
    assert main(["init", folder]) == 0
    assert "wrote  sagespec.yaml" in capsys.readouterr().out
    assert main(["init", folder]) == 0
    assert "nothing written" in capsys.readouterr().out
    assert main(["-C", folder, "validate"]) == 0
    assert "valid: 1 job and 1 endpoint" in capsys.readouterr().out


def test_wrong_specs_are_told_on_standard_error_with_1(workspace: Workspace) -> None:
    workspace.write(job(1).replace("algorithm", "algorthm"))
    result = workspace.run("validate", code=1)
    assert result.stdout == ""
    assert re.match(r"specs/all\.yaml:\d+:\d+ ", result.stderr)
    inside = subprocess.run([*CODE, "plan"], cwd=workspace.root / "specs", env=workspace.env, capture_output=True)
    assert re.match(rb"all\.yaml:\d+:\d+ ", inside.stderr)
    assert workspace.json("apply", code=1)["error"][0]["file"] == "specs/all.yaml"


def test_in_github_wrong_specs_become_annotations(workspace: Workspace) -> None:
    workspace.write(job(1).replace("algorithm", "algorthm"))
    result = shell("sagespec validate", workspace, GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(workspace.root.parent))
    assert re.match(r"::error file=project/specs/all\.yaml,line=\d+,col=\d+,title=", result.stderr)


def test_schema_is_json_and_its_docs_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "$defs" in json.loads(capsys.readouterr().out)
    assert main(["schema", "--docs"]) == 0
    assert capsys.readouterr().out.startswith("#")


def test_doctor_works_without_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(tmp_path), "doctor", "--output", "json", "--runtime", "process"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "sagespec init" in checks["project"]["fix"]


def test_a_bug_is_one_message_and_a_traceback_only_on_demand(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("sagespec.project.Project.open", broken)
    assert main(["plan"]) == 1
    told = capsys.readouterr().err
    assert "a bug in sagespec: ZeroDivisionError: oh at test_cli.py" in told
    assert "Traceback" not in told
    assert main(["plan", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SAGESPEC_DEBUG", "1")
    assert main(["plan", "--output", "json"]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert "ZeroDivisionError" in json.loads(captured.out)["error"][0]["what"]


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_each_shell(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", kind]) == 0
    assert "_SAGESPEC_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("logs jo", ["job/model@1", "job/model@2"]),
        ("logs end", ["endpoint/answers"]),
        ("invoke ", ["answers"]),
        ("images build xg", ["xgboost"]),
        ("-f specs/other.yaml logs jo", ["job/model@1", "job/model@2"]),
        ("destr", ["destroy"]),
    ],
)
def test_addresses_complete_from_the_specs(typed: str, completed: list[str], workspace: Workspace) -> None:
    workspace.write(job(1) + job(2) + endpoint("stable model@1 1"))
    words = f"sagespec {typed}"
    environment = {
        "_SAGESPEC_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(re.split(" +", words)) - 1),
    }
    result = subprocess.run(CODE, cwd=workspace.root, env=workspace.env | environment, capture_output=True, text=True)
    assert [line.split(",")[1] for line in result.stdout.splitlines()] == completed


# -- addresses and content types -------------------------------------------------------------------

KNOWN = [
    Address.parse(text)
    for text in (
        "gateway",
        "endpoint/churn",
        "endpoint/churn/stable#0",
        "endpoint/churn/stable#1",
        "endpoint/idle",
        "job/churn@2",
        "job/churn@10",
        "job/idle@1",
        "job/tumor@3",
    )
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("job/churn@2", "job/churn@2"),
        ("churn@2", "job/churn@2"),
        ("churn@2#0", "job/churn@2#0"),
        ("churn", "endpoint/churn"),
        ("endpoint/churn", "endpoint/churn"),
        ("churn/stable", "endpoint/churn/stable"),
        ("churn/stable#1", "endpoint/churn/stable#1"),
        ("tumor", "job/tumor@3"),
        ("job/churn", "job/churn@10"),
        ("idle", "job/idle@1"),  # the endpoint has no containers yet, so it has said nothing
        ("endpoint/idle", "endpoint/idle"),
        ("gateway", "gateway"),
    ],
)
def test_short_addresses_are_made_whole(text: str, meant: str) -> None:
    assert str(resolve_address(text, KNOWN)) == meant


@pytest.mark.parametrize(("text", "near"), [("chrun", "churn"), ("churn@3", "churn@2"), ("job/tumr@3", "job/tumor@3")])
def test_an_unknown_address_gets_a_guess(text: str, near: str) -> None:
    with pytest.raises(WorldError, match="there is nothing named") as caught:
        resolve_address(text, KNOWN)
    assert near in caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("file_name", "body", "content_type"),
    [
        ("rows.csv", b"{", "text/csv"),
        ("rows.JSON", b"", "application/json"),
        ("rows.jsonl", b"", "application/jsonlines"),
        ("<stdin>", b" [1]", "application/json"),
        ("", b"1,2", "text/csv"),
    ],
)
def test_content_types_are_guessed(file_name: str, body: bytes, content_type: str) -> None:
    assert guess_content_type(file_name, body) == content_type


# -- signals ---------------------------------------------------------------------------------------


def test_a_signal_before_anything_began_ends_the_command() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupt(lambda _event: None, ""):
        signal.raise_signal(signal.SIGINT)


def test_the_first_signal_asks_the_run_to_end_and_says_so() -> None:
    told: list[Event] = []
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt(told.append, "Go on like this.") as stop:
        stop.report(Event(EventKind.PLANNED))
        signal.raise_signal(signal.SIGTERM)
        wait_until(lambda: len(told) == 2)
    assert stop.cancelled.is_set()
    assert told[1].text.startswith("stopping: starting nothing new. Go on like this.")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_apply_leaves_its_job_and_releases_the_lock(workspace: Workspace, number: signal.Signals) -> None:
    workspace.write(job(1, hyperparameters="{sleep: 3, lines: 3}"))
    with workspace.running("apply") as process:
        wait_until(lambda: "line=2" in workspace.run("logs", "model", code=None).stdout)
        process.send_signal(number)
        said, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopping: starting nothing new" in said
    assert "`sagespec apply` continues from here" in said
    assert re.search(r"lock +free", workspace.run("doctor", code=None).stdout)
    assert [str(container.address) for container in workspace.containers()] == ["job/model@1#0"]
    assert "picked up: " in workspace.run("plan").stdout
    workspace.run("apply")


def test_a_second_signal_ends_at_once(workspace: Workspace) -> None:
    workspace.write(endpoint("stable model@1 1", rollout="{min_healthy: 20s}") + job(1))
    with workspace.running("apply") as process:
        wait_until(lambda: any(c.address.kind == "endpoint" for c in workspace.containers()))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 130


def test_a_wait_for_the_lock_can_be_given_up(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.project() as project, project_lock(project.parts.store, workspace.name, command="apply"):
        held = workspace.run("apply", code=1)
        assert "the project is locked by sagespec apply of" in held.stderr
        with workspace.running("apply", "--wait", "10m") as process:
            assert process.stdout is not None
            while "waiting for" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130


def test_a_dead_lock_is_shown_and_can_be_broken(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.project() as project, project_lock(project.parts.store, workspace.name, command="apply") as lock:
        assert f"id {lock.holder.id}" in workspace.run("doctor", code=None).stdout
        assert "has id" in workspace.run("unlock", "wrong", code=1).stderr
        assert workspace.json("unlock", lock.holder.id)["unlocked"] == lock.holder.id
    workspace.run("apply")


def test_watch_applies_what_is_edited_and_ends_well(workspace: Workspace) -> None:
    workspace.write(job(1))
    with workspace.running("watch", "--output", "json", "--every", "60") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any('"settled"' in line for line in lines)
        workspace.write(job(1) + job(2))
        assert any('"finished", "about": "job/model@2"' in line for line in lines)
        assert any('"settled"' in line for line in lines)
        process.send_signal(signal.SIGTERM)
        last = json.loads(list(lines)[-1])
        assert process.wait(10) == 0
    assert last == {"event": "result", "ok": True, "stopped": True}


# -- the loop --------------------------------------------------------------------------------------


def test_plan_tells_changes_by_its_exit_code(workspace: Workspace) -> None:
    workspace.write(job(1))
    assert "1 to train" in workspace.run("plan", "--exit-code", code=2).stdout
    workspace.run("plan", code=0)
    workspace.run("apply")
    workspace.run("plan", "--exit-code", code=0)
    workspace.write(job(1, hyperparameters="{lines: 1}"))
    assert "refused" in workspace.run("plan", "--exit-code", code=1).stdout
    assert workspace.run("plan", "--output", "markdown", code=1).stdout.startswith("### sagespec plan: ")


def test_apply_is_quiet_in_pipes_and_json_for_programs(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{lines: 2}"))
    lines = workspace.run("apply", "--output", "json").stdout.splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events[0] == "runtime"
    assert events[-1] == "result"
    assert {"planned", "started", "log", "finished"} <= set(events)
    again = workspace.run("apply").stdout
    assert "nothing to do: everything is up to date" in again
    assert "\x1b" not in again


def test_colours_are_forced_or_refused_by_the_environment(workspace: Workspace) -> None:
    workspace.write(job(1))
    assert "\x1b[" in shell("sagespec plan", workspace, FORCE_COLOR="1").stdout
    assert "\x1b[" not in shell("sagespec plan", workspace, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" not in shell("sagespec plan --output plain", workspace, FORCE_COLOR="1").stdout


def test_a_reader_that_has_seen_enough_is_no_error(workspace: Workspace) -> None:
    workspace.write("".join(job(number) for number in range(1, 1000)))
    # Unbuffered, Python itself loses the rest of a write that was cut short, and sees no error.
    result = shell("sagespec plan --output json | head -1; echo ${PIPESTATUS[0]}", workspace, PYTHONUNBUFFERED="")
    assert result.stdout.splitlines() == ["{", "141"]
    assert result.stderr == ""


def test_an_ascii_terminal_is_no_reason_to_fail(workspace: Workspace) -> None:
    result = shell("sagespec doctor", workspace, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert result.stdout.startswith("+  sagespec ")


def test_what_is_served_can_be_called_looked_at_and_taken_down(served: Workspace) -> None:
    answer = served.run("invoke", "answers", "--data", "1,2", "--variant", "candidate")
    assert "1,2" in answer.stdout
    assert re.search(r"^variant candidate, [\d.]+ ms$", answer.stderr, re.MULTILINE)
    assert served.json("invoke", "answers", "--data", "1,2")["status"] == 200
    rows = served.json("invoke", "answers", "--data", "1,2", "--repeat", "40")
    assert rows["requests"] == 40
    assert {row["name"] for row in rows["variants"]} == {"stable", "candidate"}
    piped = shell("printf '[1]' | sagespec invoke answers -", served)
    assert "application/json" in piped.stdout
    unknown = served.run("invoke", "answer", "--data", "1", code=1)
    assert 'did you mean "answers"?' in unknown.stderr

    status = served.json("status")
    assert [endpoint["state"] for endpoint in status["endpoints"]] == ["serving"]
    assert "stable#0 | " in served.run("logs", "answers").stdout
    assert served.json("history", "model")["jobs"][0]["address"] == "job/model@1"
    assert "hyperparameters" in served.run("history", "model@1").stdout
    assert 'did you mean "model@1"?' in served.run("history", "modl@1", code=1).stderr

    refused = served.run("destroy", code=1)
    assert "pass --yes" in refused.stderr
    assert served.containers() != ()
    assert "nothing of this project is running" in served.run("destroy", "--yes").stdout
    assert served.containers() == ()


def test_a_terminal_gets_moving_lines_colours_and_a_question(workspace: Workspace) -> None:
    workspace.write(job(1, hyperparameters="{lines: 2}") + endpoint("stable model@1 1"))
    code, shown = in_terminal(workspace, "apply")
    assert code == 0
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert re.search(r"✓.*run-job.*job/model@1", shown)
    assert "sagespec invoke answers" in shown

    code, shown = in_terminal(workspace, "destroy", typed="n\n")
    assert code == 1
    assert "Remove all of this?" in shown
    assert workspace.containers() != ()
    code, shown = in_terminal(workspace, "destroy", typed="y\n")
    assert code == 0
    assert workspace.containers() == ()


def test_rollback_ends_well_and_says_that_the_spec_stays_aside(served: Workspace) -> None:
    served.edit("model@2 ?, weight: 1|weight: 1", "weight: 3")
    served.run("apply")
    result = served.run("rollback", "answers", "--reason", "it was worse")
    assert "endpoint/answers is rolled back" in result.stdout
    assert "apply does not put its spec back until it changes" in result.stdout
    revisions = served.json("history", "answers")["endpoints"][0]["revisions"]
    assert [revision["status"] for revision in revisions] == ["superseded", "rolled_back", "live"]
    assert "it was worse" in served.run("history", "answers").stdout
    assert "was never live" in served.run("rollback", "answers", "--to", "9", code=1).stderr


@pytest.fixture
def refusing_model(workspace: Workspace) -> Iterator[Workspace]:
    """Where the gateway should be, something that answers as the gateway does for a model that failed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"OriginalStatusCode": 500, "OriginalMessage": "boom", "Message": "Received"}).encode()
            self.send_response(424)
            self.send_header("x-amzn-ErrorType", "ModelError")
            self.send_header("x-Amzn-Invoked-Production-Variant", "stable")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    workspace.port = free_port()
    workspace.__post_init__()
    with http.server.HTTPServer(("127.0.0.1", workspace.port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield workspace
        server.shutdown()
        thread.join()


def test_an_error_of_the_model_is_told_in_words(refusing_model: Workspace) -> None:
    result = refusing_model.run("invoke", "answers", "--data", "1", code=1)
    assert result.stdout == ""
    assert result.stderr == (
        "endpoint/answers/stable: ModelError (424): the model answered 500: boom\n"
        "  fix  see `sagespec logs endpoint/answers/stable`\n"
    )
    assert refusing_model.json("invoke", "answers", "--data", "1", code=1)["status"] == 424


def test_a_gateway_that_is_not_there_is_said(workspace: Workspace) -> None:
    assert "the gateway does not answer" in workspace.run("invoke", "answers", "--data", "1", code=1).stderr


def test_images_are_listed(workspace: Workspace) -> None:
    names = {image["name"] for image in workspace.json("images", "list")["images"]}
    assert {"xgboost", "gateway"} <= names
    built = workspace.json("images", "build", "xgboost")
    assert [built["event"], *(image["name"] for image in built["images"])] == ["result", "xgboost"]
    assert 'did you mean "xgboost"?' in workspace.run("images", "build", "xgbost", code=1).stderr
