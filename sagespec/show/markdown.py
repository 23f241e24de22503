"""Plans and problems in Markdown, for job summaries and comments on pull requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sagespec.errors import Problem
from sagespec.show.screen import clean
from sagespec.show.verbs import counts_text, drift_text, verbs_text

if TYPE_CHECKING:
    from sagespec.causes import Cause, Change
    from sagespec.plan import Action, Plan
    from sagespec.state.addresses import Address

NEXT = "\n"
DRIFT = "Drift: what was applied is not what is there"
MARKDOWN_LIMIT = 60_000  # characters; GitHub refuses comments above 65,536


def plan_markdown(plan: Plan, *, runtime: str = "", limit: int = MARKDOWN_LIMIT) -> str:
    """The plan for a pull request: counts, refusals, a row for each job and endpoint, all actions folded away.

    Never longer than `limit` characters: what is left out is counted. The last line is never influenced by a
    spec and ends in the plan's digest.
    """
    return _markdown(plan, f"### sagespec plan: {counts_text(plan)}", runtime, limit)


def drift_markdown(
    plan: Plan, *, runtime: str = "", limit: int = MARKDOWN_LIMIT, damage: Sequence[Problem] = ()
) -> str:
    """The same of drift alone, with what is held back on purpose, and what a deeper look has found."""
    held = "" if not plan.held else "**Held**\n\n" + problems_markdown(plan.held, limit // 3)
    if damage:
        held = "\n\n".join(["**Damage**\n\n" + problems_markdown(damage, limit // 3), *([held] if held else [])])
    said = drift_text(plan, len(damage)).replace("no drift", "none")
    return _markdown(plan, f"### sagespec drift: {said}", runtime, limit, held=held)


def _markdown(plan: Plan, headline: str, runtime: str, limit: int, *, held: str = "") -> str:
    from sagespec.drift import drift_of, pending_of

    parts = [headline, *([held] if held else [])]
    if plan.refused:
        parts.append("**Refused**\n\n" + problems_markdown(plan.refused, limit // 3))
    pending, drift = pending_of(plan), _rows(drift_of(replace(plan, suspended=())))
    for title, rows in (("Changes of the specs", _rows(pending)), (DRIFT, drift)):
        if rows:
            head = (f"**{title}**\n\n" if drift else "") + "| what | actions | why |\n|---|---|---|\n"
            parts.append(head + shortened(rows, limit // 3, "rows"))
    if plan.actions or plan.running or plan.rolling or plan.suspended:
        parts.append(folded("every action, in order", plan.text().split("\n"), limit // 5))
    if plan.versions:
        head = "| new version | differs from | in | which has |\n|---|---|---|---|\n"
        parts.append(head + shortened(_version_rows(plan), limit // 10, "rows"))
    if plan.stale:
        lines = [f"- `{one.about}` is stale: {code(one.text)}" for one in plan.stale]
        parts.append(shortened(lines, limit // 20, "stale jobs"))
    if plan.notes:
        parts.append(shortened([f"- {code(note)}" for note in plan.notes], limit // 20, "notes"))
    if plan.unchanged:
        parts.append(folded(f"{len(plan.unchanged)} unchanged", [str(a) for a in plan.unchanged], limit // 20))
    if runtime:
        parts.append(code(runtime))
    parts.append(f"<sub>digest `{plan.digest}`</sub>")
    return "\n\n".join(parts)


def _rows(plan: Plan) -> list[str]:
    by_whole: dict[Address, list[Action]] = {}
    for action in plan.actions:
        by_whole.setdefault(action.about.whole, []).append(action)
    rows = [
        f"| `{whole}` | {verbs_text(Counter(action.verb for action in actions))} | {code(_reasons(whole, actions))} |"
        for whole, actions in by_whole.items()
    ]
    rows += [f"| `{running.about}` | running elsewhere | {code(running.text)} |" for running in plan.running]
    rows += [f"| `{rolling.about}` | being rolled out | {code(rolling.text)} |" for rolling in plan.rolling]
    return rows + [f"| `{one.by.about}` | suspended | {code(one.text)} |" for one in plan.suspended]


def _version_rows(plan: Plan) -> list[str]:
    return [
        f"| `{one.about}` | `{one.before.name}@{one.before.version}` | {code(NEXT.join(one.differences))} "
        f"| {code(NEXT.join(one.standing))} |"
        for one in plan.versions
    ]


def _reasons(whole: Address, actions: Sequence[Action]) -> str:
    """Why these actions of one job or endpoint are there, a line for each reason: what its spec changed, else every
    cause of its own, else those of the actions that only follow others."""
    from sagespec.causes import Reason

    causes = [action.cause for action in actions]
    of_whole = [action.cause for action in actions if action.about == whole and action.cause.changes]
    chosen = of_whole or [cause for cause in causes if cause.reason is not Reason.FOLLOWS] or causes
    single = (replace(cause, changes=part) for cause in chosen for part in _parts(cause))
    return "\n".join(dict.fromkeys(str(cause) for cause in single))


def _parts(cause: Cause) -> list[tuple[Change, ...]]:
    return [(change,) for change in cause.changes] or [()]


def problems_markdown(problems: Sequence[Problem], limit: int = MARKDOWN_LIMIT) -> str:
    lines = []
    for problem in problems:
        head = " ".join(code(str(part)) for part in (problem.where, problem.about) if part)
        rest = [f"{label}: {code(text)}" for label, text in (("why", problem.why), ("fix", problem.fix)) if text]
        lines.append("- ❌ " + "<br>".join([f"{head} {code(problem.what)}".strip(), *rest]))
    return shortened(lines, limit, "problems")


def code(text: str) -> str:
    """Words of a user as code, line by line: there they cannot format, link, or call for people."""
    lines = [line.replace("`", "'").replace("|", "\\|").strip() for line in clean(text).split("\n")]
    return "<br>".join(f"`{line}`" for line in lines if line)


def folded(summary: str, lines: Sequence[str], limit: int) -> str:
    fenced = [clean(line).replace("~~~~", "~ ~ ~ ~") for line in lines]
    return f"<details><summary>{summary}</summary>\n\n~~~~text\n{shortened(fenced, limit, 'lines')}\n~~~~\n\n</details>"


def shortened(lines: Sequence[str], limit: int, unit: str) -> str:
    """As many of the lines as fit, and how many were left out."""
    kept: list[str] = []
    size = 60  # room for the last line
    for line in lines:
        size += len(line) + 1
        if size > limit:
            rest = len(lines) - len(kept)
            return "\n".join([*kept, *(() if unit == "lines" else ("",)), f"… and {rest} more {unit}; see the log"])
        kept.append(line)
    return "\n".join(kept)
