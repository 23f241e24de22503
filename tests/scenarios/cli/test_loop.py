"""From plan to destroy, as a shell and a terminal see it: exit codes and streams."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator

import pytest

from tests.ports import free_port
from tests.scenarios.cli.shells import in_terminal, shell
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


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
    assert re.search(r"^variant candidate \(model@2\), [\d.]+ ms$", answer.stderr, re.MULTILINE)
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
    assert "its spec stays aside until it changes" in result.stdout
    revisions = served.json("history", "answers")["endpoints"][0]["revisions"]
    assert [revision["status"] for revision in revisions] == ["superseded", "rolled_back", "live"]
    assert "it was worse" in served.run("history", "answers").stdout
    assert "there is no revision 9" in served.run("rollback", "answers", "--to", "9", code=1).stderr


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
