"""Reports what a sagespec command found or did: job summary, outputs, and the text for a comment or an issue.

    report.py                    COMMAND, FOLDER, OUTCOME, EXIT_CODE, ENGINE, TITLE in the environment
    report.py --digest FOLDER    the digest of the plan in FOLDER; nothing where its text and its JSON are not one plan

The text of a plan is that of `sagespec plan --output markdown`; the numbers are counted in its JSON. The lines of a
log, which specs and containers can influence, are shown only in a code block: there they cannot link, format or
mention people.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMENT_CHARACTERS = 60_000  # GitHub refuses a comment above 65,536; the text of a plan is below that already
LINES_OF_LOG = 200

Json = dict[str, Any]


def main() -> int:
    command, folder, title = os.environ["COMMAND"], Path(os.environ["FOLDER"]), os.environ["TITLE"]
    exit_code = int(os.environ["EXIT_CODE"] or (os.environ["OUTCOME"] != "success"))
    outputs: dict[str, object] = {"exit_code": exit_code, "report": folder / "report.md"}
    state = "ok" if exit_code == 0 else "failed"
    if command in ("plan", "drift") and (digest := digest_in(folder)):
        plan, text = _read(folder / "result.json"), (folder / "plan.md").read_text(encoding="utf-8")
        # Of drift, what is refused is a matter of the specs, and what is held waits for a person.
        also = plan["held"] or plan.get("damage") if command == "drift" else plan["refused"] or _waited_for(plan)
        state = "changes" if plan["actions"] or also else "clean"
        outputs |= _counts(plan) | {"plan_json": folder / "result.json", "plan_digest": digest}
        report = _of_plan(plan, text, command, title, elsewhere=os.environ["ENGINE"] == "elsewhere")
        _print_verbatim(f"{text}\n{json.dumps(plan, indent=2)}")
    else:
        report = _of_log(command, title, folder / "log.txt")
    (folder / "report.md").write_text(report, encoding="utf-8")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write(report)
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in (outputs | {"state": state}).items())
    return 0


def digest_in(folder: Path) -> str:
    """The digest of the plan in `folder`; '' where there is none, or where its text is of another plan.

    The two are made one after the other: whoever approves the digest must have read the text that belongs to it.
    """
    digest = str(_read(folder / "result.json").get("digest", ""))
    lines = (folder / "plan.md").read_text(encoding="utf-8").splitlines() if digest else []
    return digest if lines and lines[-1] == f"<sub>digest `{digest}`</sub>" else ""


def _counts(plan: Json) -> Mapping[str, object]:
    changed = {_whole(action["about"]) for action in plan["actions"]} | _waited_for(plan)
    return {
        "changes": "true" if changed else "false",
        "changed": len(changed),
        "actions": len(plan["actions"]),
        "refused": len(plan["refused"]),
        "unchanged": len(plan["unchanged"]),
    }


def _waited_for(plan: Json) -> set[str]:
    """The endpoints that apply would serve once a job has ended that another run follows; an older sagespec, which
    the input `version` may ask for, tells of none."""
    running = plan.get("running", [])
    return {address for job in running if job.get("waited_for") for address in job.get("needed_by", [])}


def _whole(about: str) -> str:
    """The job, endpoint or gateway that an address is a part of."""
    return "/".join(about.partition("#")[0].split("/")[:2])


def _of_plan(plan: Json, text: str, command: str, title: str, *, elsewhere: bool) -> str:
    """The text of the plan, with the commit and the run below its first line, and what it was compared with."""
    headline, _, rest = text.partition("\n")
    headline = headline.replace(f"sagespec {command}", _name(command, title), 1)
    compared = "" if command == "drift" else f"{_compared_with(plan, elsewhere=elsewhere)}\n"
    return f"{headline}\n\n{_origin()}\n{rest}\n{compared}"


def _compared_with(plan: Json, *, elsewhere: bool) -> str:
    if against := plan.get("against"):
        return f"<sub>What these specs change, as if those of {against} were applied.</sub>"
    if not elsewhere:
        return "<sub>`sagespec apply` would do exactly this.</sub>"
    reasons = {action["cause"]["reason"] for action in plan["actions"]}
    if reasons and not plan["unchanged"] and reasons <= {"new", "follows"}:
        return "<sub>No apply has left a record in the store that this job reads, so everything counts as new.</sub>"
    return (
        "<sub>The specs compared with the records in the store. This job cannot reach the engine that serves, "
        "so it does not know whether everything that was applied is still running.</sub>"
    )


def _of_log(command: str, title: str, log: Path) -> str:
    """validate, apply, and a plan that could not be made: how it ended, and the last lines of what was said."""
    word = {"success": "done", "cancelled": "cancelled"}.get(os.environ["OUTCOME"], "failed")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    lines = [line for line in lines if not line.startswith("::")]  # annotations, and the folds of the log
    blocks = [_code(lines[-LINES_OF_LOG:], COMMENT_CHARACTERS - 2_000)] if lines else []
    return "\n\n".join([f"### {_name(command, title)}: {word}", _origin(), *blocks]) + "\n"


def _code(lines: list[str], limit: int) -> str:
    """A block in which nothing is markup: the lines that fit into `limit` characters, and how many more there are."""
    kept: list[str] = []
    room = limit
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(f"… and {len(lines) - len(kept)} more lines; see the log")
            break
        kept.append(line)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", "\n".join(kept))), default=0))
    return "\n".join([f"{fence}text", *kept, fence])


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


def _read(file: Path) -> Json:
    """The JSON object in `file`; empty when there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--digest"]:
        print(digest_in(Path(sys.argv[2])))
    else:
        sys.exit(main())
