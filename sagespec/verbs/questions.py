"""What a pull request asks, kept as a mark in its text: closed without a merge, it is an answer to that alone.

Each reason for a change has a mark of its own. A reason that no closed pull request has asked with is a new question.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sagespec.display import minute_text

if TYPE_CHECKING:
    from sagespec.forge.pulls import Pull

_LENGTH = 12
_MARKS = re.compile(rf"<!-- sagespec asks:((?: [0-9a-f]{{{_LENGTH}}})+) -->")


@dataclass(frozen=True)
class Question:
    """title: of the pull request. reasons: what asks for it, exactly. how: what a person does who wants it all the
    same. pause: for how long a closed one is an answer to whatever asks."""

    title: str
    reasons: tuple[str, ...]
    how: str
    pause: timedelta = timedelta()

    @property
    def mark(self) -> str:
        """What the text of its pull request ends in; nobody sees it there."""
        return f"<!-- sagespec asks: {' '.join(self._marks)} -->"

    @property
    def _marks(self) -> tuple[str, ...]:
        texts = (f"{self.title}\n{reason}" for reason in self.reasons)
        return tuple(hashlib.sha256(text.encode()).hexdigest()[:_LENGTH] for text in texts)

    def turned_down_by(self, pulls: Sequence[Pull], now: datetime) -> TurnedDown | None:
        """The one that says no to it, if there is one. pulls: of its branch, newest first."""
        own, closed = set(self._marks), [pull for pull in pulls if not pull.is_open and not pull.is_merged]
        asked = [pull for pull in closed if own & _marks_in(pull)]
        if asked and own <= {mark for pull in asked for mark in _marks_in(pull)}:
            return TurnedDown(asked[0].url, self.how)
        for pull in (one for one in closed if one.title == self.title):
            if not _marks_in(pull):  # of an earlier release, or edited
                return TurnedDown(pull.url, self.how)
            again_at = pull.closed_at + self.pause if pull.closed_at else now
            if self.pause and now < again_at:
                return TurnedDown(pull.url, self.how, again_at)
        return None


@dataclass(frozen=True)
class TurnedDown:
    """url: of the pull request that was closed. again_at: when another reason may ask, if that is later."""

    url: str
    how: str
    again_at: datetime | None = None

    @property
    def text(self) -> str:
        after = f", from {minute_text(self.again_at)} on" if self.again_at else ""
        return f"closed without a merge: it is asked again for another reason{after}; {self.how}"


def _marks_in(pull: Pull) -> set[str]:
    return {mark for found in _MARKS.finditer(pull.body) for mark in found[1].split()}
