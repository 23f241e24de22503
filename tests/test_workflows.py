"""What .github does: form and security by the tools made for that, and the very scripts, run as GitHub runs them.

`Runner` stands for GitHub's: it takes the steps of action.yml, fills in their expressions and runs them with
bash. `Api` stands for api.github.com. What `sagespec plan` says comes from real plans of a simulated world.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from sagespec.plan import Plan
from tests.fakes.specs import desired_from
from tests.fakes.world import SimulatedWorld

ROOT = Path(__file__).parents[1]
ACTION = ROOT / ".github" / "actions" / "sagespec"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCS = ROOT / "docs" / "github-actions.md"
USERS_OF_ACTIONS = [*WORKFLOWS, ACTION / "action.yml"]

HEAD, REPOSITORY = "c0ffee" * 6 + "c0ff", "acme/models"
PULL_REQUEST = {"pull_request": {"number": 7, "head": {"sha": HEAD, "repo": {"full_name": REPOSITORY}}}}
FROM_A_FORK = {"pull_request": {"number": 7, "head": {"sha": HEAD, "repo": {"full_name": "mallory/models"}}}}


def read(file: Path) -> dict[str, Any]:
    """BaseLoader: `on` stays a word, and `true` is the text that GitHub hands to an action."""
    content: dict[str, Any] = yaml.load(file.read_text(), Loader=yaml.BaseLoader)
    return content


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is not installed: pip install '.[test]'"
    return found


# -- form and security -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", [ACTION / "action.yml"]),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_fit_githubs_schemas(schema: str, files: list[Path]) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", schema, *map(str, files)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_zizmor_finds_nothing_even_as_an_auditor() -> None:
    command = [tool("zizmor"), "--offline", "--persona=auditor", "--strict-collection", "--collect=all", "--no-ignores"]
    audited = subprocess.run([*command, str(ROOT / ".github")], capture_output=True, text=True)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "No findings to report" in audited.stdout + audited.stderr


@pytest.mark.parametrize("file", USERS_OF_ACTIONS, ids=lambda file: file.name)
def test_actions_of_others_are_pinned_by_commit_with_their_version_beside(file: Path) -> None:
    for line in file.read_text().splitlines():
        if match := re.match(r"\s*(?:- )?uses: (.*)", line):
            assert re.fullmatch(r"\$/\S+|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", match[1]), line


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_jobs_have_no_more_than_they_say(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {}
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow["on"])
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert int(job["timeout-minutes"]) > 0, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", name


@pytest.mark.parametrize("file", USERS_OF_ACTIONS, ids=lambda file: file.name)
def test_no_expression_is_pasted_into_a_script(file: Path) -> None:
    content = read(file)
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    for step in (step for job in jobs for step in job["steps"]):
        assert "${{" not in step.get("run", ""), step["name"]


# -- GitHub's side, as far as these files need it ----------------------------------------------------


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """The value of the few kinds of expression in use: names, comparisons, and/or, always(), functions, 'text'."""

    def looked_up(match: re.Match[str]) -> str:
        if match["text"]:
            return match["text"]
        value: Any = contexts
        for part in match["name"].split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return repr("" if value is None else value)

    functions = {"always": lambda: True, "cancelled": lambda: False, "fromJSON": json.loads}
    names = re.compile(r"(?P<text>'[^']*')|(?P<name>\b(?:github|inputs|steps|needs|vars)\.[\w.-]+)")
    python = names.sub(looked_up, expression).replace("&&", " and ").replace("||", " or ").replace("!c", " not c")
    return eval(python, {"__builtins__": {}}, functions)


def is_wanted(step_or_job: Mapping[str, Any], contexts: Mapping[str, Any], *, succeeded: bool = True) -> bool:
    condition = step_or_job.get("if", "true").removeprefix("${{").removesuffix("}}").strip()
    return (succeeded or "always()" in condition) and (condition == "true" or bool(evaluate(condition, contexts)))


@dataclass
class Ended:
    """What a run of the action came to."""

    outcome: str
    outputs: dict[str, str]
    summary: str
    log: str

    def json(self) -> Any:
        return json.loads(Path(self.outputs["plan_json"]).read_text())


@dataclass
class Runner:
    """Runs the steps of action.yml; `uses:` steps are passed over. sagespec is what `sagespec()` was given."""

    folder: Path
    api_url: str = "http://127.0.0.1:9"
    event: dict[str, Any] = field(default_factory=lambda: PULL_REQUEST)

    def __post_init__(self) -> None:
        for name in ("bin", "temp", "workspace"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "event.json").write_text(json.dumps(self.event))

    def sagespec(self, output: object = "", *, exit_code: int = 0, errors: str = "") -> None:
        """Put a sagespec on PATH that says this and keeps its arguments."""
        text = output if isinstance(output, str) else json.dumps(output)
        (self.folder / "output").write_text(text)
        (self.folder / "errors").write_text(errors)
        self._script(
            "sagespec",
            f'echo "$@" >>"{self.folder}/arguments"\ncat "{self.folder}/output"\n'
            f'cat "{self.folder}/errors" >&2\nexit {exit_code}',
        )

    def _script(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/usr/bin/env bash\n{text}\n")
        file.chmod(0o755)

    @property
    def arguments(self) -> list[str]:
        """How sagespec was called, a line for each time."""
        return (self.folder / "arguments").read_text().splitlines()

    def environment(self) -> dict[str, str]:
        files = {name: str(self.folder / name.lower()) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_PATH")}
        return files | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "RETRY_SECONDS": "0",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_API_URL": self.api_url,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "42",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": "f00d" * 10,
            "GITHUB_WORKSPACE": str(self.folder / "workspace"),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "RUNNER_TRACKING_ID": f"github_{self.folder}",
        }

    def run(self, **inputs: str) -> Ended:
        """All steps, in order, with GitHub's rules for `if` and failure. Underscores stand for hyphens."""
        action = read(ACTION / "action.yml")
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= action["inputs"].keys()
        defaults = {name: value.get("default", "") for name, value in action["inputs"].items()}
        defaults |= {"github-token": "token", "version": "none"}
        contexts: dict[str, Any] = {"inputs": defaults | given, "steps": {}, "github": {}}
        (self.folder / "github_step_summary").write_text("")
        succeeded, log = True, ""
        for step in action["runs"]["steps"]:
            if "uses" in step or not is_wanted(step, contexts, succeeded=succeeded):
                continue
            process = self.start(step, contexts)
            log += process.communicate(timeout=60)[0]
            outcome = "success" if process.returncode == 0 else "failure"
            succeeded = succeeded and outcome == "success"
            contexts["steps"][step.get("id", step["name"])] = {"outcome": outcome, "outputs": self.step_outputs()}
        outputs = {
            name: str(evaluate(value["value"].removeprefix("${{").removesuffix("}}").strip(), contexts))
            for name, value in action["outputs"].items()
        }
        summary = (self.folder / "github_step_summary").read_text()
        return Ended("success" if succeeded else "failure", outputs, summary, log)

    def start(self, step: Mapping[str, Any], contexts: Mapping[str, Any]) -> subprocess.Popen[str]:
        """The step's script as a process, started as GitHub starts it."""
        (self.folder / "github_output").write_text("")
        script = self.folder / "temp" / "step.sh"
        script.write_text(step["run"])
        inputs = {
            name: re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(evaluate(match[1].strip(), contexts)), value)
            for name, value in {"": step.get("working-directory", "."), **step.get("env", {})}.items()
        }
        folder = (self.folder / "workspace" / inputs.pop("")).resolve()
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=folder,
            env=self.environment() | {"GITHUB_OUTPUT": str(self.folder / "github_output")} | inputs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def by_hand(self, *words: str) -> None:
        """A command in the workspace, outside of any step."""
        subprocess.run(words, cwd=self.folder / "workspace", env=self.environment(), check=True, capture_output=True)

    def step_outputs(self) -> dict[str, str]:
        lines = (self.folder / "github_output").read_text().splitlines()
        return dict(line.partition("=")[::2] for line in lines)


@dataclass
class Api:
    """The part of GitHub's API that keeps comments and issues. `answers`: status codes to give first instead."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        parts, query = urlsplit(path), parse_qs(urlsplit(path).query)
        self.calls.append(f"{method} {parts.path}")
        if self.answers:
            return self.answers.pop(0), {"message": "no"}
        _, _, owner, name, *rest = parts.path.split("/")
        assert f"{owner}/{name}" == REPOSITORY
        match method, rest:
            case "GET", ["issues", "7", "comments"]:
                return 200, self.page(self.comments, query)
            case "POST", ["issues", "7", "comments"]:
                return 201, self.added(self.comments, body)
            case "PATCH", ["issues", "comments", number]:
                return 200, self.edited(self.comments, int(number), body)
            case "GET", ["issues"]:
                return 200, self.page([i for i in self.issues if i.get("state", "open") == "open"], query)
            case "POST", ["issues"]:
                return 201, self.added(self.issues, body)
            case "PATCH", ["issues", number]:
                return 200, self.edited(self.issues, int(number), body)
        return 404, {"message": "Not Found"}

    @staticmethod
    def page(items: list[dict[str, Any]], query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        size, page = int(query["per_page"][0]), int(query["page"][0])
        return items[(page - 1) * size : page * size]

    @staticmethod
    def added(items: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
        number = len(items) + 1
        items.append({"id": number, "number": number, "user": {"type": "Bot"}, "html_url": f"url {number}", **body})
        return items[-1]

    @staticmethod
    def edited(items: list[dict[str, Any]], number: int, body: dict[str, Any]) -> dict[str, Any]:
        items[number - 1] |= body
        return items[number - 1]


@pytest.fixture
def api() -> Iterator[Api]:
    state = Api()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            assert self.headers["Authorization"] == "Bearer token"
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = state.answer(self.command, self.path, json.loads(content or "{}"))
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = handle_any

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def runner(tmp_path: Path, api: Api) -> Runner:
    return Runner(tmp_path / "runner", api.url)


# -- plans -------------------------------------------------------------------------------------------

UNREACHABLE = {"about": "", "what": "the store does not answer", "why": "", "fix": "", "file": None}
JOBS = [{"kind": "TrainingJob", "name": "churn", "version": version} for version in (1, 2)]


def endpoint(name: str = "churn", weight: int = 10) -> dict[str, Any]:
    variants = [
        {"name": "stable", "model": "churn@1", "weight": 100 - weight},
        {"name": "candidate", "model": "churn@2", "weight": weight},
    ]
    return {"kind": "Endpoint", "name": name, "variants": variants}


def plan_of(plan: Plan) -> dict[str, Any]:
    """As `sagespec plan --output json` prints it."""
    return plan.as_json() | {"runtime": "docker: the engine answers", "counts": {}}


@pytest.fixture
def applied() -> SimulatedWorld:
    """A world in which two versions are trained and two endpoints serve them."""
    world = SimulatedWorld()
    world.settle(desired_from(*JOBS, endpoint(), endpoint("other")))
    return world


def plan_in(world: SimulatedWorld, *documents: dict[str, Any]) -> dict[str, Any]:
    return plan_of(world.plan(desired_from(*documents, manifests=world.manifests)))


def as_seen_from_elsewhere(world: SimulatedWorld) -> SimulatedWorld:
    """The store's records are in reach; the engine that answers is an empty one."""
    for container in world.containers:
        world.runtime.remove(container.name)
    return world


def test_a_changed_weight_is_told_in_outputs_summary_and_log(runner: Runner, applied: SimulatedWorld) -> None:
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)

    ended = runner.run()

    assert runner.arguments == ["plan --exit-code --output json"]
    assert ended.outcome == "success"
    assert {name: ended.outputs[name] for name in ("exit_code", "changes", "changed", "refused", "unchanged")} == {
        "exit_code": "2",
        "changes": "true",
        "changed": "1",
        "refused": "0",
        "unchanged": "3",
    }
    assert int(ended.outputs["actions"]) == len(ended.json()["actions"])
    assert "### sagespec plan: 1 to change (2 actions), 3 up to date" in ended.summary
    assert "endpoint/churn  weight of stable 90 -> 70, weight of candidate 10 -> 30" in ended.summary
    assert "set-routes" in ended.summary
    assert HEAD in ended.summary
    assert "https://github.com/acme/models/actions/runs/42" in ended.summary
    assert "weight of candidate 10 -> 30" in ended.log
    assert Path(ended.outputs["report"]).read_text() == ended.summary


def test_nothing_to_do_is_no_change(runner: Runner, applied: SimulatedWorld) -> None:
    runner.sagespec(plan_in(applied, *JOBS, endpoint(), endpoint("other")))

    ended = runner.run()

    assert (ended.outputs["exit_code"], ended.outputs["changes"]) == ("0", "false")
    assert "### sagespec plan: nothing to do, 4 up to date" in ended.summary


def test_what_is_refused_comes_first_and_marks_the_line_of_the_spec(runner: Runner, applied: SimulatedWorld) -> None:
    changed = {**JOBS[1], "hyperparameters": {"num_round": 200}}
    (runner.folder / "workspace" / "ml").mkdir()
    plan = plan_in(applied, JOBS[0], changed, endpoint(weight=30), endpoint("other"))
    runner.sagespec(plan, exit_code=1)

    ended = runner.run(working_directory="ml")

    assert ended.outcome == "failure"
    assert (ended.outputs["exit_code"], ended.outputs["changes"], ended.outputs["refused"]) == ("1", "true", "1")
    assert ended.summary.index("**Refused**") < ended.summary.index("weight of candidate 10 -> 30")
    assert "fix  set version: 3" in ended.summary
    place = r"^::error file=ml/specs/test\.yaml,line=\d+,col=\d+,title=job/churn@2::hyperparameters\.num_round is 200"
    assert re.search(place, ended.log, re.MULTILINE)

    runner.run(command="apply", expect_digest=ended.outputs["plan_digest"])
    assert runner.arguments[-1].startswith("apply"), "what is refused does not hold up the rest"


def test_elsewhere_only_what_the_specs_change_counts(runner: Runner, applied: SimulatedWorld) -> None:
    """On a runner that is not the machine nothing runs; without this, every endpoint would seem to be new."""
    plan = plan_in(as_seen_from_elsewhere(applied), *JOBS, endpoint(weight=30), endpoint("other"))
    assert {action["about"].split("/")[1] for action in plan["actions"] if "/" in action["about"]} == {"churn", "other"}
    runner.sagespec(plan, exit_code=2)

    ended = runner.run(engine="elsewhere")

    assert (ended.outputs["changed"], ended.outputs["unchanged"]) == ("1", "3")
    assert "weight of candidate 10 -> 30" in ended.summary
    assert "set-routes" in ended.summary
    assert not re.search("endpoint/other|container is gone|start-", ended.summary)
    assert "it does not know whether everything that was applied is still running" in ended.summary


def test_elsewhere_without_a_change_is_nothing_to_do(runner: Runner, applied: SimulatedWorld) -> None:
    runner.sagespec(plan_in(as_seen_from_elsewhere(applied), *JOBS, endpoint(), endpoint("other")), exit_code=2)

    ended = runner.run(engine="elsewhere")

    assert (ended.outputs["changes"], ended.outputs["unchanged"]) == ("false", "4")
    assert "nothing to do" in ended.summary


def test_elsewhere_a_changed_rollout_setting_counts(runner: Runner, applied: SimulatedWorld) -> None:
    changed = {**endpoint(), "rollout": {"min_healthy": "9s"}}
    runner.sagespec(plan_in(as_seen_from_elsewhere(applied), *JOBS, changed, endpoint("other")), exit_code=2)

    assert runner.run(engine="elsewhere").outputs["changed"] == "1"


def test_elsewhere_without_any_record_it_is_said_that_all_counts_as_new(runner: Runner) -> None:
    runner.sagespec(plan_in(SimulatedWorld(), *JOBS, endpoint()), exit_code=2)

    ended = runner.run(engine="elsewhere")

    assert ended.outputs["changed"] == "3"
    assert "No apply has left a record" in ended.summary


def test_texts_of_specs_can_neither_format_nor_mention_nor_command(runner: Runner, applied: SimulatedWorld) -> None:
    plan = plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other"))
    evil = "x\n::error::forged\n```\n@everyone <img src=x> [link](http://x)\n```"
    plan["actions"][0]["cause"]["note"] = evil
    plan["notes"] = [evil]
    runner.sagespec(plan, exit_code=2)

    ended = runner.run()

    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", ended.summary, flags=re.M | re.S)
    assert "@everyone" in ended.summary
    assert not re.search("@everyone|<img|forged", outside)
    token = re.search(r"^::stop-commands::(\w+)$", ended.log, re.M)
    assert token
    assert ended.log.index(token[0]) < ended.log.index("::error::forged") < ended.log.index(f"\n::{token[1]}::")


def test_a_huge_plan_fits_into_a_comment_and_a_summary(runner: Runner) -> None:
    endpoints = [endpoint(f"endpoint-{number}") for number in range(300)]
    runner.sagespec(plan_in(SimulatedWorld(), *JOBS, *endpoints), exit_code=2)

    ended = runner.run()

    report = Path(ended.outputs["report"]).read_text()
    assert len(report) < 65_536
    assert len(ended.summary.encode()) < 1 << 20
    assert ended.outputs["changed"] == "303"
    assert "303 to change" in report
    assert "more block" in report
    assert report.count("<details>") == report.count("</details>")


def test_wrong_specs_fail_the_step_and_are_told(runner: Runner) -> None:
    problem = {
        "about": "job/churn@3",
        "what": "unknown field",
        "why": "",
        "fix": 'did you mean "version"?',
        "file": "specs/churn.yaml",
        "line": 4,
        "column": 1,
    }
    runner.sagespec({"error": [problem]}, exit_code=1, errors="::error file=specs/churn.yaml,line=4::unknown field\n")

    for command in ("validate", "plan"):
        ended = runner.run(command=command)

        assert ended.outcome == "failure"
        assert ended.outputs["exit_code"] == "1"
        assert ended.outputs["changes"] == ""
        assert f"### sagespec {command}: failed" in ended.summary
        assert "specs/churn.yaml:4:1  job/churn@3: unknown field" in ended.summary
        assert "::error file=specs/churn.yaml,line=4::unknown field" in ended.log


def test_valid_specs_are_counted(runner: Runner) -> None:
    runner.sagespec({"ok": True, "jobs": 2, "endpoints": 1, "files": ["a"], "notes": ["the store was not asked"]})

    ended = runner.run(command="validate", specs="specs/a.yaml\nspecs/more of them\n", runtime="process")

    assert runner.arguments == ["validate -f specs/a.yaml -f specs/more of them --runtime process --output json"]
    assert ended.outcome == "success"
    assert "2 jobs and 1 endpoint are valid\nthe store was not asked" in ended.summary


# -- apply -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exit_code", "word", "outcome"), [(0, "done", "success"), (1, "failed", "failure")])
def test_apply_is_shown_as_it_goes_and_told_in_the_summary(
    runner: Runner, exit_code: int, word: str, outcome: str
) -> None:
    runner.sagespec(
        "started  job/churn@3\n::group::job/churn@3\n", exit_code=exit_code, errors="trained  job/churn@3\n"
    )

    ended = runner.run(command="apply", args="--prune  --retry *", wait="5m")

    assert runner.arguments == ["apply --prune --retry * --wait 5m --output plain"]
    assert ended.outcome == outcome
    assert ended.outputs["exit_code"] == str(exit_code)
    assert f"### sagespec apply: {word}" in ended.summary
    assert "started  job/churn@3\ntrained  job/churn@3\n" in ended.summary
    assert "::group::" in ended.log
    assert "::group::" not in ended.summary


def test_cancelling_reaches_sagespec_and_what_it_started_is_not_the_runners_to_kill(runner: Runner) -> None:
    stand_in = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (os.write(1, b'stopped\\\\n'), os._exit(1)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    runner._script("sagespec", f'env\nexec {sys.executable} -c "{stand_in}"')
    action = read(ACTION / "action.yml")
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "run")
    inputs = {name: value.get("default", "") for name, value in action["inputs"].items()} | {"command": "apply"}

    process = runner.start(step, {"inputs": inputs})
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "ready\n":
            break
    process.send_signal(signal.SIGINT)  # to the entry process alone, as GitHub does
    rest = process.communicate(timeout=60)[0]

    assert rest.endswith("stopped\n")
    assert process.returncode == 1
    assert not any(line.startswith("RUNNER_TRACKING_ID") for line in [*lines, *rest.splitlines()])
    assert "stopped" in (Path(runner.step_outputs()["folder"]) / "log.txt").read_text()


def test_apply_carries_out_the_approved_plan_and_no_other(runner: Runner, applied: SimulatedWorld) -> None:
    documents = [*JOBS, endpoint(weight=30), endpoint("other")]
    runner.sagespec(plan_in(applied, *documents), exit_code=2)
    approved = runner.run().outputs["plan_digest"]
    (runner.folder / "arguments").unlink()

    runner.sagespec({**plan_in(applied, *documents), "runtime": "runtime docker: the engine at another address"})
    assert runner.run(command="apply", expect_digest=approved).outcome == "success"
    assert [line.split()[0] for line in runner.arguments] == ["plan", "apply"]

    (runner.folder / "arguments").unlink()
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=40), endpoint("other")))
    ended = runner.run(command="apply", expect_digest=approved)
    assert ended.outcome == "failure"
    assert [line.split()[0] for line in runner.arguments] == ["plan"]
    assert "no longer the one that was approved" in ended.summary


def test_apply_stops_where_the_approved_plan_cannot_be_made_again(runner: Runner) -> None:
    runner.sagespec({"error": [UNREACHABLE]}, exit_code=1)
    ended = runner.run(command="apply", expect_digest="f00d")
    assert ended.outcome == "failure"
    assert [line.split()[0] for line in runner.arguments] == ["plan"]
    assert "the store does not answer" in ended.summary


def test_another_command_is_wrong(runner: Runner) -> None:
    runner.sagespec()
    ended = runner.run(command="destroy")
    assert ended.outcome == "failure"
    assert "command is destroy" in ended.log
    assert not (runner.folder / "arguments").exists()


# -- the comment -------------------------------------------------------------------------------------


def test_one_comment_is_written_then_edited_in_place(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    api.added(api.comments, {"body": "first!", "user": {"type": "User"}})
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    runner.run(comment="true")
    assert len(api.comments) == 2
    assert api.comments[1]["body"].startswith("<!-- sagespec comment  -->\n### sagespec plan: 1 to change")
    assert "weight of candidate 10 -> 30" in api.comments[1]["body"]

    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=40), endpoint("other")), exit_code=2)
    runner.run(comment="true")
    assert len(api.comments) == 2
    assert "weight of candidate 10 -> 40" in api.comments[1]["body"]

    runner.sagespec(plan_in(applied, *JOBS, endpoint(), endpoint("other")))
    runner.run(comment="true")
    assert "nothing to do" in api.comments[1]["body"]

    runner.sagespec({"error": [UNREACHABLE]}, exit_code=1)
    assert runner.run(comment="true").outcome == "failure"
    assert "### sagespec plan: failed" in api.comments[1]["body"]
    assert api.comments[0]["body"] == "first!"


def test_nothing_to_do_writes_no_first_comment(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    runner.sagespec(plan_in(applied, *JOBS, endpoint(), endpoint("other")))
    runner.run(comment="true")
    assert api.comments == []


def test_each_title_has_its_comment_and_a_copied_marker_is_left_alone(
    runner: Runner, api: Api, applied: SimulatedWorld
) -> None:
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    api.added(api.comments, {"body": "<!-- sagespec comment staging -->\nmine", "user": {"type": "User"}})
    for title in ("staging", "--> <b>", "staging"):
        runner.run(comment="true", title=title)
    assert len(api.comments) == 3
    assert api.comments[0]["body"].endswith("mine")
    assert api.comments[2]["body"].startswith("<!-- sagespec comment --%3E%20%3Cb%3E -->\n### sagespec plan (--? ?b?):")


def test_the_comment_is_found_behind_many_others(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    for number in range(230):
        api.added(api.comments, {"body": str(number)})
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    for _ in range(2):
        runner.run(comment="true")
    assert len(api.comments) == 231


def test_a_pull_request_from_a_fork_is_not_commented(tmp_path: Path, api: Api, applied: SimulatedWorld) -> None:
    runner = Runner(tmp_path / "runner", api.url, FROM_A_FORK)
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    ended = runner.run(comment="true")
    assert ended.outcome == "success"
    assert "from a fork" in ended.log
    assert api.calls == []


def test_a_push_has_no_pull_request_to_comment(tmp_path: Path, api: Api, applied: SimulatedWorld) -> None:
    runner = Runner(tmp_path / "runner", api.url, {"ref": "refs/heads/main"})
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    assert runner.run(comment="true").outcome == "success"
    assert api.calls == []


@pytest.mark.parametrize(("answers", "calls"), [([403], 1), ([502, 502, 502], 3)])
def test_a_comment_that_is_refused_does_not_fail_the_job(
    runner: Runner, api: Api, applied: SimulatedWorld, answers: list[int], calls: int
) -> None:
    api.answers = answers
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    ended = runner.run(comment="true")
    assert ended.outcome == "success"
    assert "::warning title=No comment on the pull request::" in ended.log
    assert len(api.calls) == calls


def test_a_passing_error_of_the_api_is_waited_out(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    api.answers = [502, 503]
    runner.sagespec(plan_in(applied, *JOBS, endpoint(weight=30), endpoint("other")), exit_code=2)
    runner.run(comment="true")
    assert len(api.comments) == 1


# -- the issue ---------------------------------------------------------------------------------------


def test_one_issue_is_opened_edited_and_closed(runner: Runner, api: Api, applied: SimulatedWorld) -> None:
    as_is = [*JOBS, endpoint(), endpoint("other")]
    runner.sagespec(plan_in(applied, *as_is))
    runner.run(issue="true")
    assert api.issues == []

    lost = next(c for c in applied.engine.all.values() if c.launch.address.name == "other")
    applied.runtime.remove(lost.launch.name)
    runner.sagespec(plan_in(applied, *as_is), exit_code=2)
    for _ in range(2):
        runner.run(issue="true")
    assert len(api.issues) == 1
    assert api.issues[0]["title"] == "sagespec: what is running differs from the specs"
    assert "its container is gone" in api.issues[0]["body"]

    runner.sagespec({"error": [UNREACHABLE]}, exit_code=1)
    runner.run(issue="true")
    assert "its container is gone" in api.issues[0]["body"], "not known is not clean"

    applied.engine.all[lost.launch.name] = lost
    runner.sagespec(plan_in(applied, *as_is))
    runner.run(issue="true")
    assert (api.issues[0]["state"], api.issues[0]["state_reason"]) == ("closed", "completed")

    applied.runtime.remove(lost.launch.name)
    runner.sagespec(plan_in(applied, *as_is), exit_code=2)
    runner.run(issue="true")
    assert len(api.issues) == 2, "a closed issue stays closed"


def test_an_issue_that_cannot_be_written_fails_the_job(runner: Runner, api: Api) -> None:
    api.answers = [403]
    runner.sagespec(plan_in(SimulatedWorld(), *JOBS), exit_code=2)
    ended = runner.run(issue="true")
    assert ended.outcome == "failure"
    assert re.search("::error title=The issue could not be written::.*403.*`issues: write`", ended.log)


# -- installing --------------------------------------------------------------------------------------


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
    runner._script(
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


# -- the whole loop with the real sagespec -----------------------------------------------------------


@pytest.mark.slow
def test_a_project_is_planned_approved_applied_and_watched_for_drift(
    runner: Runner, api: Api, project_name: str
) -> None:
    """As specs.yml and drift.yml do it, on real processes; what was applied lives on after the job."""
    runner._script("sagespec", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m sagespec "$@"')
    workspace = runner.folder / "workspace"
    runner.by_hand("sagespec", "init")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = f"apiVersion: sagespec/v1\nkind: Project\nname: {project_name}\ngateway: {{port: {port}}}\n"
    (workspace / "sagespec.yaml").write_text(settings)
    spec = workspace / "specs" / "churn.yaml"

    spec.write_text(spec.read_text().replace("weight: 90", "weigth: 90"))
    wrong = runner.run(command="validate", comment="true")
    assert wrong.outcome == "failure"
    assert re.search(r"^::error file=specs/churn\.yaml,line=\d+", wrong.log, re.MULTILINE)
    assert 'did you mean "weight"?' in api.comments[0]["body"]
    spec.write_text(spec.read_text().replace("weigth: 90", "weight: 90"))

    plan = runner.run(runtime="process", engine="elsewhere", comment="true")
    assert (plan.outputs["exit_code"], plan.outputs["changed"]) == ("2", "2")
    assert "everything counts as new" in api.comments[0]["body"]
    try:
        preview = runner.run(runtime="process")
        applied = runner.run(command="apply", runtime="process", expect_digest=preview.outputs["plan_digest"])
        assert applied.outcome == "success", applied.log
        assert "everything is up to date" in applied.summary
        assert _tracked_processes(runner) == []
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/endpoints/churn/invocations",
            data=b"3,5,80.0,0",
            headers={"Content-Type": "text/csv"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert 0 <= float(answer.read()) <= 1
        assert runner.run(runtime="process", issue="true").outputs["changes"] == "false"
        assert api.issues == []

        spec.write_text(spec.read_text().replace("num_round: 40", "num_round: 50"))
        refused = runner.run(runtime="process", comment="true")
        assert (refused.outcome, refused.outputs["refused"]) == ("failure", "1")
        assert "num_round is 50, but version 1 was trained with 40" in api.comments[0]["body"]
    finally:
        runner.by_hand("sagespec", "destroy", "--yes", "--runtime", "process")
    spec.write_text(spec.read_text().replace("num_round: 50", "num_round: 40"))
    runner.run(runtime="process", issue="true")
    assert "start-instance" in api.issues[0]["body"]
    assert len(api.comments) == 1


def _tracked_processes(runner: Runner) -> list[str]:
    """Processes that a runner would kill at the end of the job: those that carry its variable."""
    mark = f"RUNNER_TRACKING_ID={runner.environment()['RUNNER_TRACKING_ID']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().decode())
    return found


# -- who gets what, in specs.yml ---------------------------------------------------------------------


def jobs_and_steps(event_name: str, event: dict[str, Any], ref: str, **variables: str) -> dict[str, list[str]]:
    """Which jobs of specs.yml run for an event, and which of their steps."""
    github = {"event_name": event_name, "event": event, "ref": ref, "repository": REPOSITORY}
    contexts = {"github": github, "vars": variables, "needs": {"preview": {"outputs": {"changes": "true"}}}}
    jobs = read(ROOT / ".github" / "workflows" / "specs.yml")["jobs"]
    wanted = {name: job for name, job in jobs.items() if is_wanted(job, contexts)}
    wanted = {name: job for name, job in wanted.items() if job.get("needs", "preview") in {"preview", *wanted}}
    if "preview" not in wanted:
        wanted.pop("apply", None)  # needs it
    return {name: [s["name"] for s in job["steps"] if is_wanted(s, contexts)] for name, job in wanted.items()}


ROLES = {"AWS_PLAN_ROLE": "arn:plan", "AWS_APPLY_ROLE": "arn:apply"}
MACHINE = {"SAGESPEC_RUNNER": '["self-hosted", "sagespec"]'}


def test_a_pull_request_is_planned_on_a_hosted_runner() -> None:
    jobs = jobs_and_steps("pull_request", PULL_REQUEST, "refs/pull/7/merge", **ROLES, **MACHINE)
    assert jobs.keys() == {"plan"}
    assert jobs["plan"][-3:] == ["Validate", "Assume the role that reads the store", "Plan"]


def test_a_pull_request_from_a_fork_is_validated_and_gets_at_nothing() -> None:
    jobs = jobs_and_steps("pull_request", FROM_A_FORK, "refs/pull/7/merge", **ROLES, **MACHINE)
    assert jobs == {"plan": ["Check out", "Make the example data", "Validate"]}


def test_main_is_applied_where_there_is_a_machine() -> None:
    for event_name in ("push", "workflow_dispatch"):
        jobs = jobs_and_steps(event_name, {}, "refs/heads/main", **MACHINE)
        assert list(jobs) == ["preview", "apply"]
        assert jobs["apply"][-1] == "Apply"
        assert jobs_and_steps(event_name, {}, "refs/heads/main") == {}
    assert jobs_and_steps("workflow_dispatch", {}, "refs/heads/experiment", **MACHINE) == {}


def test_nothing_from_a_pull_request_runs_on_the_machine_and_checkout_leaves_the_store_alone() -> None:
    for file in WORKFLOWS:
        for name, job in read(file)["jobs"].items():
            if "SAGESPEC_RUNNER" not in job["runs-on"]:
                continue
            assert "refs/heads/main" in job["if"] or job["needs"] == "preview", name
            labels = evaluate(job["runs-on"].removeprefix("${{").removesuffix("}}").strip(), {"vars": MACHINE})
            assert labels == ["self-hosted", "sagespec"]
            checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@"))
            assert checkout["with"]["clean"] == "false", name


def test_applies_wait_for_each_other_and_are_not_cancelled() -> None:
    job = read(ROOT / ".github" / "workflows" / "specs.yml")["jobs"]["apply"]
    assert job["concurrency"] == {"group": "specs-apply-production", "cancel-in-progress": "false"}
    assert job["environment"] == "production"


# -- docs/github-actions.md --------------------------------------------------------------------------


def test_the_commands_of_the_docs_make_workflows_that_work_in_another_repository(tmp_path: Path) -> None:
    """The block is run as it stands; curl is one that finds this checkout."""
    block = re.search(r"```bash\n(commit=.*?)```", DOCS.read_text(), re.DOTALL)
    assert block
    curl = tmp_path / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(f'#!/bin/sh\nexec cat "{ROOT}/.github/${{2##*/.github/}}"\n')
    curl.chmod(0o755)
    path = f"{curl.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", block[1]], cwd=tmp_path, env={"PATH": path}, check=True)

    made = sorted((tmp_path / ".github" / "workflows").iterdir())
    assert [file.name for file in made] == ["drift.yml", "specs.yml"]
    checked = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "github-workflows", *map(str, made)], capture_output=True
    )
    assert checked.returncode == 0, checked.stdout
    for file in made:
        steps = [step for job in read(file)["jobs"].values() for step in job["steps"]]
        ours = [step["uses"] for step in steps if "actions/sagespec" in step.get("uses", "")]
        assert ours
        assert all(re.fullmatch(r"sagespec/sagespec/\.github/actions/sagespec@[0-9a-f]{40}", use) for use in ours)
        assert not any("run" in step for step in steps), "the data of the examples is ours"
        assert "$/" not in file.read_text()
        assert ".github/actions/sagespec/**" not in file.read_text()


def test_the_docs_name_every_input_and_output_and_variable() -> None:
    docs = DOCS.read_text()
    action = read(ACTION / "action.yml")
    used = {name for file in WORKFLOWS for name in re.findall(r"vars\.(\w+)", file.read_text())}
    assert used
    for name in (*action["inputs"], *action["outputs"], *used):
        assert f"`{name}`" in docs, name
