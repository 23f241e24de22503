"""The actions in a reader's words, and how many of each a plan holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sagespec.show.figures import counted

if TYPE_CHECKING:
    from sagespec.plan import Plan

# What each action is to a reader: its tone, and the word it is counted under in a plan's last line.
VERBS: Mapping[str, tuple[str, str]] = {
    "run-job": ("good", "train"),
    "copy-model": ("good", "copy"),
    "import": ("good", "import"),
    "start-gateway": ("good", "start"),
    "set-doors": ("change", "route"),
    "start-instance": ("good", "start"),
    "start-notebook": ("good", "start"),
    "await-healthy": ("dim", ""),
    "await-notebook": ("dim", ""),
    "set-routes": ("change", "route"),
    "record-progress": ("dim", ""),
    "record-revision": ("dim", "record"),
    "drain-instance": ("dim", ""),
    "remove-instance": ("bad", "remove"),
    "remove-container": ("bad", "remove"),
}
_OTHERS = {
    "drift": "because of drift",
    "running": "running elsewhere",
    "rolling": "being rolled out",
    "suspended": "suspended",
    "stale": "stale",
    "unchanged": "unchanged",
    "refused": "refused",
}
_COUNTED = tuple(dict.fromkeys(word for _, word in VERBS.values() if word))


def counts(plan: Plan) -> dict[str, int]:
    """How many actions of each kind, how many addresses are unchanged and refused, how many jobs are running in other
    runs, how many of the actions repair drift, how many trained jobs are stale, and how many endpoints are between two
    steps of a rollout, if any."""
    from sagespec.drift import drift_ids

    words = _by_word(plan.counts)
    refused = len({problem.about for problem in plan.refused})
    others = {"unchanged": len(plan.unchanged), "refused": refused, "running": len(plan.running)}
    others |= {"drift": len(drift_ids(plan)), "stale": len(plan.stale)}
    others |= {"rolling": len(plan.rolling)} if plan.rolling else {}
    others |= {"suspended": len(plan.suspended)} if plan.suspended else {}
    return {word: words[word] for word in _COUNTED} | others


def counts_text(plan: Plan) -> str:
    """'3 to start, 1 to route; 1 running elsewhere; 4 unchanged; 1 refused'."""
    return verbs_text(plan.counts, counts(plan))


def drift_text(plan: Plan, damaged: int = 0) -> str:
    """The same of drift alone: what is stale is none.

    >>> from sagespec.plan import Plan
    >>> drift_text(Plan())
    'no drift'
    """
    stale = f"; {len(plan.stale)} stale" if plan.stale else ""
    if not damaged:
        return counts_text(plan) if plan.actions else f"no drift{stale}"
    repaired = counts_text(plan) if plan.actions else f"nothing that an apply repairs{stale}"
    return f"{repaired}; {damaged} damaged"


def verbs_text(verbs: Mapping[str, int], others: Mapping[str, int] = MappingProxyType({})) -> str:
    """A summary of actions with these verbs: '2 to start, 1 to route'; `others` come last."""
    by_word = _by_word(verbs)
    words = [word for word in _COUNTED if by_word[word] and (word != "record" or len(verbs) == 1)]
    todo = ", ".join(f"{by_word[word]} to {word}" for word in words) or (
        counted(sum(verbs.values()), "action") if verbs else "nothing to do"
    )
    return "; ".join([todo, *(f"{others[word]} {said}" for word, said in _OTHERS.items() if others.get(word))])


def _by_word(verbs: Mapping[str, int]) -> Counter[str]:
    by_word: Counter[str] = Counter()
    for verb, count in verbs.items():
        by_word[VERBS[verb][1]] += count
    return by_word
