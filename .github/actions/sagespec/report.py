"""Tells what a sagespec command found or did: job summary, outputs, and the text for a comment or an issue.

    report.py                  COMMAND, FOLDER, OUTCOME, EXIT_CODE, ENGINE, TITLE in the environment
    report.py --digest FILE    the digest of a plan

Works from the plan's JSON, so that numbers and text come from one look at the world. Whatever a spec may have
put into a text is shown in code blocks only: it cannot mention people, link or format.
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

# Reasons that the specs themselves give for an action; the others (drift, follows) come from what runs.
OF_THE_SPECS = {"new", "changed", "removed", "retried", "adopted"}


def main() -> int:
    environment = os.environ
    command, folder, title = environment["COMMAND"], Path(environment["FOLDER"]), environment["TITLE"]
    exit_code = int(environment["EXIT_CODE"] or (environment["OUTCOME"] != "success"))
    plan = _read_plan(folder / "plan.json") if command == "plan" else None
    state = "failed" if exit_code not in (0, 2) else "ok"
    if plan is None:
        report = _of_a_log(command, title, environment["OUTCOME"], folder / "log.txt")
        summary, outputs = report, {}
    else:
        view = View(plan, elsewhere=environment["ENGINE"] == "elsewhere")
        if state == "ok":
            state = "changes" if view.changed or view.refused else "clean"
        summary = view.markdown(title, SUMMARY_CHARACTERS)
        report = view.markdown(title, COMMENT_CHARACTERS)
        outputs = view.outputs() | {"plan_json": folder / "plan.json", "plan_digest": digest(plan)}
        _print_verbatim(view.text())
    (folder / "report.md").write_text(report, encoding="utf-8")
    with Path(environment["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write(summary)
    with Path(environment["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        for name, value in ({"exit_code": exit_code, "state": state, "report": folder / "report.md"} | outputs).items():
            file.write(f"{name}={value}\n")
    return 0


def digest(plan: dict[str, Any]) -> str:
    """Of what the plan does and refuses; the moment it was made at does not count."""
    decided = {"actions": plan["actions"], "refused": plan["refused"]}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


class View:
    """A plan as its reader needs it. `elsewhere`: the engine it was made against is not the one that serves."""

    def __init__(self, plan: dict[str, Any], *, elsewhere: bool) -> None:
        self.elsewhere = elsewhere
        self.refused: list[dict[str, Any]] = plan["refused"]
        self.notes: list[str] = plan["notes"]
        by_whole: dict[str, list[dict[str, Any]]] = {}
        for action in plan["actions"]:
            by_whole.setdefault(whole(action["about"]), []).append(action)
        self.changed = {
            about: actions
            for about, actions in by_whole.items()
            if not elsewhere or (about != "gateway" and any(map(_is_of_the_specs, actions)))
        }
        self.left_out = sorted(about for about in by_whole.keys() - self.changed.keys() if about != "gateway")
        self.unchanged = [*plan["unchanged"], *self.left_out]
        # Nothing recorded, nothing known: this store has never seen an apply of the project.
        self.is_first = not self.unchanged and all(
            action["cause"]["reason"] in ("new", "follows") for action in plan["actions"]
        )

    @property
    def actions(self) -> list[dict[str, Any]]:
        return [action for actions in self.changed.values() for action in actions]

    def outputs(self) -> dict[str, object]:
        return {
            "changes": "true" if self.changed else "false",
            "changed": len(self.changed),
            "actions": len(self.actions),
            "refused": len(self.refused),
            "unchanged": len(self.unchanged),
        }

    def headline(self) -> str:
        parts = []
        if self.changed:
            parts.append(f"{len(self.changed)} to change ({_count(len(self.actions), 'action')})")
        if self.refused:
            parts.append(f"{len(self.refused)} refused")
        if not parts:
            parts.append("nothing to do")
        return ", ".join([*parts, f"{len(self.unchanged)} as specified"])

    def text(self) -> str:
        """For the log of the step: all of it, plain."""
        parts = [self.headline(), *map(problem_text, self.refused), _rows(self.actions), *self.notes, self.footnote()]
        return "\n".join(part for part in parts if part)

    def markdown(self, title: str, limit: int) -> str:
        """Counts, then what is refused, then each job and endpoint with why it changes, then its actions; what
        does not fit into `limit` characters is counted."""
        head = [f"### {_name('plan', title)}: {self.headline()}", _at()]
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
        return _fitted(head, blocks, [f"<sub>{self.footnote()}</sub>"], limit)

    def footnote(self) -> str:
        if not self.elsewhere:
            return "Made against the engine and the store that serve: `sagespec apply` would do exactly this."
        if self.is_first:
            return "The store has no record of an earlier apply, or is out of reach of this job: everything is new here."
        return (
            "The specs against the records in the store. This job does not reach the engine that serves, so whether "
            "all that was applied still runs is not told."
        )


def whole(about: str) -> str:
    """The job, endpoint or gateway that an address is a part of."""
    return "/".join(about.partition("#")[0].split("/")[:2])


def _is_of_the_specs(action: dict[str, Any]) -> bool:
    # A revision is recorded only for a spec that is not live, whatever else is there.
    return action["cause"]["reason"] in OF_THE_SPECS or action["action"] == "record-revision"


def cause_text(cause: dict[str, Any]) -> str:
    changes = ", ".join(f"{c['field']} {c['old']} -> {c['new']}" if c["old"] else f"{c['field']} {c['new']}" for c in cause["changes"])
    if changes and cause["note"]:
        return f"{changes} ({cause['note']})"
    return str(changes or cause["note"] or cause["reason"])


def problem_text(problem: dict[str, Any]) -> str:
    place = f"{problem['file']}:{problem['line']}:{problem['column']}  " if problem["file"] else ""
    about = f"{problem['about']}: " if problem["about"] else ""
    lines = [f"{place}{about}{problem['what']}"]
    lines += [f"  {word}  {problem[word]}" for word in ("why", "fix") if problem[word]]
    return "\n".join(lines)


def _reasons(changed: dict[str, list[dict[str, Any]]]) -> Iterable[str]:
    """One line for each job and endpoint: why its actions are there, every reason once."""
    width = max(map(len, changed))
    for about, actions in changed.items():
        causes = [action["cause"] for action in actions if action["cause"]["reason"] != "follows"]
        texts = dict.fromkeys(map(cause_text, causes or [action["cause"] for action in actions]))
        yield f"{about:<{width}}  {'; '.join(texts)}"


def _rows(actions: Sequence[dict[str, Any]]) -> str:
    rows = [(action["action"], action["about"], cause_text(action["cause"])) for action in actions]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return "\n".join(f"{verb:<{widths[0]}}  {about:<{widths[1]}}  {cause}".rstrip() for verb, about, cause in rows)


def code(text: str, limit: int) -> str:
    """A block in which nothing is markup; whole lines up to `limit` characters, and how many more there are."""
    lines, kept, used = text.splitlines(), [], 0
    for line in lines:
        if used + len(line) > limit:
            break
        kept.append(line)
        used += len(line) + 1
    if len(kept) < len(lines):
        kept.append(f"… {_count(len(lines) - len(kept), 'more line')}")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return "\n".join([f"{fence}text", *kept, fence])


def _fitted(head: list[str], blocks: list[str], foot: list[str], limit: int) -> str:
    room = limit - sum(map(len, (*head, *foot))) - 200
    kept: list[str] = []
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            break
        kept.append(block)
    if len(kept) < len(blocks):
        kept.append(f"… and {_count(len(blocks) - len(kept), 'more block')}: see the [run]({_run_url()})")
    return "\n\n".join([*head, *kept, *foot]) + "\n"


def _of_a_log(command: str, title: str, outcome: str, log: Path) -> str:
    """For validate and apply, and for a plan that could not be made: how it ended, and its last lines."""
    word = {"success": "done", "cancelled": "cancelled"}.get(outcome, "failed")
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = "\n".join(map(_as_plain_text, text.splitlines())).splitlines()[-LINES_OF_LOG:]
    head = [f"### {_name(command, title)}: {word}", _at()]
    return _fitted(head, [code("\n".join(lines), COMMENT_CHARACTERS - 2_000)] if lines else [], [], COMMENT_CHARACTERS)


def _as_plain_text(line: str) -> str:
    """An annotation as people read it: place and message. Other lines as they are."""
    match = re.match(r"::(?:error|warning|notice)(?: ([^:]*))?::(.*)", line)
    if not match:
        return line
    properties = dict(word.partition("=")[::2] for word in (match[1] or "").split(","))
    place = ":".join(properties[name] for name in ("file", "line", "col") if properties.get(name))
    message = f"{place}  {match[2]}" if place else match[2]
    for code_point, character in (("%0A", "\n"), ("%0D", ""), ("%2C", ","), ("%3A", ":"), ("%25", "%")):
        message = message.replace(code_point, character)
    return message


def _read_plan(file: Path) -> dict[str, Any] | None:
    """The plan in `file`; None when there was an error instead."""
    try:
        plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return plan if "actions" in plan else None


def _name(command: str, title: str) -> str:
    return f"sagespec {command}" + (f" ({re.sub('[^A-Za-z0-9_./ -]', '?', title)})" if title else "")


def _at() -> str:
    """The commit the specs were taken from, and the run."""
    event = Path(os.environ.get("GITHUB_EVENT_PATH", ""))
    head = json.loads(event.read_text(encoding="utf-8")).get("pull_request", {}).get("head", {}) if event.is_file() else {}
    return f"{head.get('sha') or os.environ['GITHUB_SHA']} in [this run]({_run_url()})"


def _run_url() -> str:
    return "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(os.environ)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _print_verbatim(text: str) -> None:
    """To the log, where a line of a spec that looks like a command of GitHub's is no command."""
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", text, f"::{token}::", sep="\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--digest"]:
        plan = _read_plan(Path(sys.argv[2]))
        sys.exit(print(digest(plan)) if plan else "there is no plan in that file")
    sys.exit(main())
