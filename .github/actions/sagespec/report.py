"""Reports what a sagespec command found or did: job summary, outputs, and the text for a comment or an issue.

    report.py                  COMMAND, FOLDER, OUTCOME, EXIT_CODE, ENGINE, TITLE, WORKING_DIRECTORY in the environment
    report.py --digest FILE    the digest of a plan

A plan is reported from its JSON, so that numbers and text come from one snapshot. Texts that a spec can influence are
shown only in code blocks: there they cannot link, format or mention people.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COMMENT_CHARACTERS = 60_000  # GitHub refuses a comment above 65,536
SUMMARY_CHARACTERS = 240_000  # and drops a summary above 1 MiB; a character may take four bytes
LINES_OF_LOG = 200

# Reasons that the specs give for an action; the others (drift, adopted, follows) come from what runs.
OF_THE_SPECS = {"new", "changed", "removed", "retried"}

Json = dict[str, Any]


def main() -> int:
    command, folder, title = os.environ["COMMAND"], Path(os.environ["FOLDER"]), os.environ["TITLE"]
    exit_code = int(os.environ["EXIT_CODE"] or (os.environ["OUTCOME"] != "success"))
    result = _read(folder / "result.json")
    outputs: dict[str, object] = {"exit_code": exit_code, "report": folder / "report.md"}
    state = "ok" if exit_code == 0 else "failed"
    if command == "plan" and "actions" in result:
        view = View(result, elsewhere=os.environ["ENGINE"] == "elsewhere")
        state = "changes" if view.changed or view.refused else "clean"
        outputs |= view.outputs() | {"plan_json": folder / "result.json", "plan_digest": digest(result)}
        summary, report = view.markdown(title, SUMMARY_CHARACTERS), view.markdown(title, COMMENT_CHARACTERS)
        _annotate(view.refused)
        _print_verbatim(view.text())
    else:
        summary = report = _told(command, title, result, folder / "log.txt")
    (folder / "report.md").write_text(report, encoding="utf-8")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write(summary)
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in (outputs | {"state": state}).items())
    return 0


def digest(plan: Json) -> str:
    """Of what the plan does and refuses; when it was made does not count."""
    decided = {"actions": plan["actions"], "refused": plan["refused"]}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


class View:
    """A plan as its reader needs it.

    elsewhere: the engine it was made against is not the one that serves. Nothing runs there, so what is to be
    started for that reason alone is left out.
    """

    def __init__(self, plan: Json, *, elsewhere: bool) -> None:
        self.elsewhere = elsewhere
        self.runtime: str = plan.get("runtime", "")
        self.refused: list[Json] = plan["refused"]
        self.notes: list[str] = plan["notes"]
        self.actions: list[Json] = [a for a in plan["actions"] if not elsewhere or _is_of_the_specs(a)]
        self.changed: dict[str, list[Json]] = {}
        for action in self.actions:
            self.changed.setdefault(whole(action["about"]), []).append(action)
        left_out = {whole(action["about"]) for action in plan["actions"]} - self.changed.keys() - {"gateway"}
        self.unchanged: int = len(plan["unchanged"]) + len(left_out)
        # All new and nothing known: no apply of this project has left a record in this store.
        self.is_first = not self.unchanged and all(
            action["cause"]["reason"] in ("new", "follows") for action in plan["actions"]
        )

    def outputs(self) -> dict[str, object]:
        return {
            "changes": "true" if self.changed else "false",
            "changed": len(self.changed),
            "actions": len(self.actions),
            "refused": len(self.refused),
            "unchanged": self.unchanged,
        }

    def headline(self) -> str:
        todo = f"{len(self.changed)} to change ({_count(len(self.actions), 'action')})" if self.changed else ""
        refused = f"{len(self.refused)} refused" if self.refused else ""
        parts = [part for part in (todo, refused) if part] or ["nothing to do"]
        return ", ".join([*parts, f"{self.unchanged} up to date"])

    def footnote(self) -> str:
        if not self.elsewhere:
            return f"`sagespec apply` would do exactly this. {self.runtime}".strip()
        if self.is_first and self.changed:
            return "No apply has left a record in the store that this job reads, so everything counts as new."
        return (
            "The specs compared with the records in the store. This job cannot reach the engine that serves, "
            "so it does not know whether everything that was applied is still running."
        )

    def text(self) -> str:
        """All of it, for the log of the step."""
        parts = [self.headline(), *map(problem_text, self.refused), _rows(self.actions), *self.notes, self.footnote()]
        return "\n".join(part for part in parts if part)

    def markdown(self, title: str, limit: int) -> str:
        """Counts; what is refused; each job and endpoint with why it changes; then the actions of each.

        What does not fit into `limit` characters is counted.
        """
        blocks = []
        if self.refused:
            blocks.append("**Refused**\n\n" + code("\n".join(map(problem_text, self.refused)), limit // 3))
        if self.changed:
            blocks.append(code("\n".join(_reasons(self.changed)), limit // 3))
        if self.notes:
            blocks.append(code("\n".join(self.notes), limit // 10))
        for about, actions in self.changed.items():
            label = f"<code>{about}</code>: {_count(len(actions), 'action')}"
            blocks.append(f"<details><summary>{label}</summary>\n\n{code(_rows(actions), limit // 3)}\n\n</details>")
        head = f"### {_name('plan', title)}: {self.headline()}"
        return _fitted([head, _origin()], blocks, [f"<sub>{self.footnote()}</sub>"], limit)


def whole(about: str) -> str:
    """The job, endpoint or gateway that an address is a part of."""
    return "/".join(about.partition("#")[0].split("/")[:2])


def cause_text(cause: Json) -> str:
    changes = ", ".join(
        f"{change['field']} {change['old']} -> {change['new']}"
        if change["old"]
        else f"{change['field']} {change['new']}"
        for change in cause["changes"]
    )
    if changes and cause["note"]:
        return f"{changes} ({cause['note']})"
    return str(changes or cause["note"] or cause["reason"])


def problem_text(problem: Json) -> str:
    place = f"{problem['file']}:{problem['line']}:{problem['column']}  " if problem["file"] else ""
    about = f"{problem['about']}: " if problem["about"] else ""
    rest = [f"  {word}  {problem[word]}" for word in ("why", "fix") if problem[word]]
    return "\n".join([f"{place}{about}{problem['what']}", *rest])


def code(text: str, limit: int) -> str:
    """A block in which nothing is markup: the lines that fit into `limit` characters, and how many more there are."""
    lines = text.splitlines()
    kept: list[str] = []
    room = limit
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(f"… {_count(len(lines) - len(kept), 'more line')}")
            break
        kept.append(line)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return "\n".join([f"{fence}text", *kept, fence])


def _is_of_the_specs(action: Json) -> bool:
    # A revision is recorded only for a spec that is not live yet, whatever the other actions are there for.
    asked_for = action["cause"]["reason"] in OF_THE_SPECS or action["action"] == "record-revision"
    return bool(asked_for and action["about"] != "gateway")


def _reasons(changed: dict[str, list[Json]]) -> Iterable[str]:
    """For each job and endpoint why its actions are there: a line for every reason, the address on the first."""
    width = max(map(len, changed))
    for about, actions in changed.items():
        causes = [action["cause"] for action in actions]
        of_the_whole = [
            action["cause"] for action in actions if action["about"] == about and action["cause"]["changes"]
        ]
        chosen = of_the_whole or [cause for cause in causes if cause["reason"] != "follows"] or causes
        lines = dict.fromkeys(
            text
            for cause in chosen
            for text in (
                [cause_text({**cause, "changes": [change]}) for change in cause["changes"]] or [cause_text(cause)]
            )
        )
        for number, line in enumerate(lines):
            yield f"{'' if number else about:<{width}}  {line}"


def _rows(actions: Sequence[Json]) -> str:
    rows = [(action["action"], action["about"], cause_text(action["cause"])) for action in actions]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return "\n".join(f"{verb:<{widths[0]}}  {about:<{widths[1]}}  {cause}".rstrip() for verb, about, cause in rows)


def _told(command: str, title: str, result: Json, log: Path) -> str:
    """validate, apply, and a plan that could not be made: how it ended, and the problems or the last lines."""
    word = {"success": "done", "cancelled": "cancelled"}.get(os.environ["OUTCOME"], "failed")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    lines = [line for line in lines if not line.startswith("::")]  # annotations, and the folds of the log
    if problems := result.get("error"):
        lines = "\n".join(map(problem_text, problems)).splitlines()
        _print_verbatim("\n".join(lines))
    elif command == "validate" and result:
        found = f"{_count(result['jobs'], 'job')} and {_count(result['endpoints'], 'endpoint')} are valid"
        lines = [found, *result["notes"]]
        _print_verbatim("\n".join(lines))
    blocks = [code("\n".join(lines[-LINES_OF_LOG:]), COMMENT_CHARACTERS - 2_000)] if lines else []
    return _fitted([f"### {_name(command, title)}: {word}", _origin()], blocks, [], COMMENT_CHARACTERS)


def _fitted(head: list[str], blocks: list[str], foot: list[str], limit: int) -> str:
    """The parts with an empty line between them; the last blocks give way when there are too many."""
    room = limit - sum(map(len, (*head, *foot))) - 200
    kept: list[str] = []
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            kept.append(f"… and {_count(len(blocks) - len(kept), 'more block')}, in the log of [the run]({_run_url()})")
            break
        kept.append(block)
    return "\n\n".join([*head, *kept, *foot]) + "\n"


def _annotate(problems: Iterable[Json]) -> None:
    """Put the problems on the lines of the specs."""
    for problem in problems:
        if problem["file"]:
            file = os.path.normpath(os.path.join(os.environ["WORKING_DIRECTORY"], problem["file"]))  # noqa: PTH118
            place = f"file={_escaped(file)},line={problem['line']},col={problem['column']}"
            text = "\n".join(problem[word] for word in ("what", "why", "fix") if problem[word])
            print(f"::error {place},title={_escaped(problem['about'])}::{_escaped(text, '')}")


def _escaped(text: str, more: str = ":,") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _print_verbatim(text: str) -> None:
    """To the log, where a line that looks like a command of GitHub's is none."""
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", text, f"::{token}::", sep="\n")


def _name(command: str, title: str) -> str:
    return f"sagespec {command}" + (f" ({re.sub('[^A-Za-z0-9_./ -]', '?', title)})" if title else "")


def _origin() -> str:
    """The commit whose specs these are, and the run."""
    head = _read(Path(os.environ["GITHUB_EVENT_PATH"])).get("pull_request", {}).get("head", {})
    return f"{head.get('sha', os.environ['GITHUB_SHA'])} in [this run]({_run_url()})"


def _run_url() -> str:
    return "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(os.environ)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _read(file: Path) -> Json:
    """The JSON object in `file`; empty when there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--digest"]:
        plan = _read(Path(sys.argv[2]))
        if "actions" not in plan:
            sys.exit("\n".join(map(problem_text, plan.get("error", []))) or "there is no plan")
        print(digest(plan))
    else:
        sys.exit(main())
