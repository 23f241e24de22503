"""GitHub's side, as far as the files of .github need it.

`Runner` stands for GitHub's: it takes the steps of action.yml, fills in their expressions and runs them with
bash. `Api` stands for api.github.com.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from sagespec.cli.given import CHANGES, DONE, FAILED
from sagespec.drift import drift_of
from sagespec.plan import Plan
from sagespec.show.plan import write_drift, write_plan
from sagespec.show.screen import Format, Screen

ROOT = Path(__file__).parents[2]
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


RUNTIME = "runtime docker: the engine answers"
FORMS: tuple[Format, Format] = ("json", "markdown")


class Written(NamedTuple):
    out: str
    err: str


@dataclass
class Ended:
    """What a run of the action came to."""

    outcome: str
    outputs: dict[str, str]
    summary: str
    log: str

    def json(self) -> Any:
        return json.loads(Path(self.outputs["plan_json"]).read_text())

    @property
    def report(self) -> str:
        return Path(self.outputs["report"]).read_text()


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

    def sagespec(self, output: object = "", *, exit_code: int = 0, errors: str = "", markdown: str = "") -> None:
        """Put a sagespec on PATH that says this and keeps its arguments.

        output: a text, or the JSON of a plan. markdown: what it says instead when asked for Markdown.
        exit_code: that of changes only where --exit-code asks for it, or for drift.
        """
        texts = {"output": output if isinstance(output, str) else json.dumps(output), "markdown": markdown or "\n"}
        for name, text in (texts | {"errors": errors}).items():
            (self.folder / name).write_text(text)
        self.script(
            "sagespec",
            f'echo "$@" >>"{self.folder}/arguments"\n'
            f'case "$*" in *markdown) said=markdown ;; *) said=output ;; esac\n'
            f'cat "{self.folder}/$said"\ncat "{self.folder}/errors" >&2\n'
            f'if [[ {exit_code} == {CHANGES} && "$*" != *--exit-code* && $1 != drift ]]; then exit {DONE}; fi\n'
            f"exit {exit_code}",
        )

    def drifts(self, plan: Plan) -> None:
        """The same of its drift."""
        drift = drift_of(plan)
        json_text, markdown = (self._written(drift, form, ".", RUNTIME, write_drift) for form in FORMS)
        code = CHANGES if drift.actions else DONE
        self.sagespec(json_text.out, exit_code=code, errors=markdown.err, markdown=markdown.out)

    def plans(self, plan: Plan, *, in_folder: str = ".", runtime: str = RUNTIME) -> None:
        """Put a sagespec on PATH that makes this plan, written as the real one writes it inside GitHub Actions."""
        json_text, markdown = (self._written(plan, form, in_folder, runtime) for form in FORMS)
        code = FAILED if plan.refused else CHANGES if plan.actions else DONE
        self.sagespec(json_text.out, exit_code=code, errors=markdown.err, markdown=markdown.out)

    def _written(
        self, plan: Plan, form: Format, in_folder: str, runtime: str, write: Callable[..., None] = write_plan
    ) -> Written:
        out, err, workspace = io.StringIO(), io.StringIO(), self.folder / "workspace"
        screen = Screen(form, out, err, github=True, root=workspace / in_folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GITHUB_WORKSPACE", str(workspace))
            write(screen, plan, runtime=runtime)
        return Written(out.getvalue(), err.getvalue())

    def script(self, name: str, text: str) -> None:
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
