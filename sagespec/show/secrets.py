"""Keeps values of environment variables that look secret out of what is written."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagespec.plan import Action, Change, Plan

_SECRET_NAME = re.compile(
    r"secret|token|passw|passphrase|credential|private|auth|api_?key|access_?key|(^|_)(key|keys|pwd|pat|dsn|sas)(_|$)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s]*:[^/\s]*@")  # a URL with a password in it
_ENVIRONMENT = re.compile(
    r"\benvironment(?:\.(?P<name>\w+) |(?P<of> of [\w-]+)? (?=\{))(?P<values>.*?)(?=\n[a-z]+-[a-z]+ |\Z)", re.DOTALL
)


def looks_secret(name: str, *values: str) -> bool:
    """Whether a variable's name, or one of its values, says that the value is nobody's business."""
    return bool(_SECRET_NAME.search(name)) or any(_SECRET_VALUE.search(value) for value in values)


def without_secrets(text: str) -> str:
    """A text that may name environment variables with their values, less the values that look secret."""

    def shown(match: re.Match[str]) -> str:
        name = match["name"]
        if name and not looks_secret(name, match["values"]):
            return match[0]
        return f"environment{f'.{name}' if name else match['of'] or ''} changed"

    return _ENVIRONMENT.sub(shown, text) if "environment" in text else text


def _masked_change(change: Change) -> Change:
    match = re.fullmatch(r"environment(?:\.(\w+))?(?: of .*)?", change.field)
    if match is None or (match[1] and not looks_secret(match[1], change.old, change.new)):
        return change
    return replace(change, old="", new="changed")


def masked(plan: Plan) -> Plan:
    """The plan without the values of environment variables that look secret."""

    def action_masked(action: Action) -> Action:
        changes = tuple(_masked_change(change) for change in action.cause.changes)
        return replace(action, cause=replace(action.cause, changes=changes))

    return replace(
        plan,
        actions=tuple(action_masked(action) for action in plan.actions),
        refused=tuple(replace(problem, what=without_secrets(problem.what)) for problem in plan.refused),
    )
