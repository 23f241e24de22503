"""What is so at the end of a pass, and worth a message when it begins or ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from sagespec.causes import Reason
from sagespec.plan import Plan
from sagespec.spec.notify import Topic
from sagespec.state.source import AttemptResult, SourceRecord


class Key(NamedTuple):
    """One thing that people are told once. what: another reason is another thing."""

    topic: Topic
    about: str
    what: str = ""


@dataclass(frozen=True)
class Condition:
    """text: for people. fix: what they can do."""

    text: str
    fix: str = ""


def conditions(
    plan: Plan, record: SourceRecord | None = None, flapping: Mapping[str, str] = MappingProxyType({})
) -> Mapping[Key, Condition]:
    """record: of the branch that is followed, if one is. flapping: by address, what to say of it."""
    found: dict[Key, Condition] = {}
    for topic, problems in ((Topic.FAILED, plan.refused), (Topic.ROLLED_BACK, plan.held)):
        for problem in problems:
            first = problem.what.splitlines()[0]
            kind = Topic.GATE_FAILED if first.startswith("is held by its gate") else topic
            found[Key(kind, problem.about or "project", first)] = Condition(first, problem.fix)
    for one in plan.suspended:
        found[Key(Topic.SUSPENDED, one.by.about, one.by.reason)] = Condition(one.by.text)
    fix = "`sagespec drift` shows what is repaired; `sagespec logs`, why a container dies"
    found |= {Key(Topic.FLAPPING, about): Condition(text, fix) for about, text in flapping.items()}
    return found | (_of_branch(record) if record else {})


def _of_branch(record: SourceRecord) -> dict[Key, Condition]:
    found: dict[Key, Condition] = {}
    if held := record.held:
        found[Key(Topic.HELD, "source", f"{held.reason} {held.commit}")] = Condition(held.text, held.fix)
    attempted = record.attempted
    if attempted and attempted.result is AttemptResult.WRONG:
        text = f"the specs of {attempted.commit[:12]} are wrong: {attempted.reason}"
        found[Key(Topic.FAILED, "source", text)] = Condition(text, "correct them, and push")
    return found


def repairs(plan: Plan) -> Mapping[str, str]:
    """What of a plan repairs something: by address, why."""
    drift = [action for action in plan if action.cause.reason is Reason.DRIFT]
    return {str(action.about.whole): f"{action.about}: {action.cause}" for action in reversed(drift)}
