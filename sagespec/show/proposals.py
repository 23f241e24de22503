"""What is proposed as a pull request: its text, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagespec.show.figures import seconds_text
from sagespec.show.markdown import MARKDOWN_LIMIT, code, plan_markdown
from sagespec.show.problems import write_problems
from sagespec.show.screen import Screen

if TYPE_CHECKING:
    from sagespec.verbs.proposals import Beside, Proposal, Proposed

MADE_BY = """\
<sub>Made by sagespec. `sagespec bump --due --pr` brings this branch up to date with its base, until somebody else \
pushes to it. Closed without a merge, it is not asked again for the same reason.</sub>"""
LIMIT = MARKDOWN_LIMIT - 10_000  # for the plan, beside what else is told


def body_of(proposal: Proposal) -> str:
    """The text of its pull request: why, what is new beside what is live, and the plan."""
    written = proposal.written
    parts = ["\n".join(f"- {code(why)}" for why in proposal.why)]
    parts.append("\n".join(f"- {code(f'{written.file}:{written.line}')}: {code(str(s))}" for s in written.settings))
    if proposal.seconds:
        parts.append(f"The last training took {seconds_text(proposal.seconds)}.")
    if proposal.beside:
        parts.append(_beside(proposal.beside))
    parts.append(plan_markdown(proposal.plan, limit=LIMIT) if proposal.plan else f"No plan: {code(proposal.no_plan)}")
    parts.append(f"{MADE_BY}\n{proposal.question.mark}")
    return "\n\n".join(parts)


def _beside(beside: Beside) -> str:
    lines = [f"| metric | {code(beside.model)} | live: {code(beside.live or 'nothing')} | Δ |", "|---|---|---|---|"]
    for name in sorted({*beside.metrics, *beside.live_metrics}):
        new, live = beside.metrics.get(name), beside.live_metrics.get(name)
        delta = f"{new - live:+.4g}" if new is not None and live is not None else ""
        lines.append(f"| {code(name)} | {_number(new)} | {_number(live)} | {delta} |")
    table = "\n".join(lines) if len(lines) > 2 else f"{code(beside.model)} has measured nothing."
    gate = f"{'❌' if beside.is_held else '✅' if beside.gate == 'passed' else '❔'} Gate: {code(beside.gate)}"
    return "\n\n".join([table, *([gate] if beside.gate else []), f"Manifest: {code(beside.manifest)}"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def write_proposed(screen: Screen, found: Sequence[Proposed]) -> None:
    if screen.format == "json":
        screen.document({"proposed": [one.as_json() for one in found]})
        return
    if not found:
        screen.line("nothing is asked for")
    tones = {"opened": "good", "edited": "change", "pushed": "good", "failed": "bad"}
    for one in found:
        screen.line((f"{one.result.value:<11}", tones.get(one.result.value, "dim")), f"  {one.title}  {_where(one)}")
        for note in one.notes:
            screen.line((f"  {note}", "dim"))
    if problems := [one.problem for one in found if one.problem]:
        write_problems(screen, problems)


def _where(one: Proposed) -> str:
    return one.url or one.branch
