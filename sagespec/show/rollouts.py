"""A rollout that is under way: in one line, and as steps with a bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from sagespec.show.figures import counted, percent_text, seconds_text

if TYPE_CHECKING:
    from sagespec.ongoing import Rolling
    from sagespec.show.screen import Cell
    from sagespec.state.rollout import RolloutEnd, Tally

EVERY_SECONDS = 30.0  # at most so often a plain line of one step


def rolling_row(rolling: Rolling) -> list[Cell]:
    """Of a plan."""
    return [("rolling", "change"), str(rolling.about), (rolling.text, "dim")]


def rolling_text(rolling: Rolling, now: datetime) -> str:
    """'step 2 of 3: 30 % since 2m, …; 3m left of this step'."""
    return f"step {rolling.text}; {left_text(rolling, now)}"


def left_text(rolling: Rolling, now: datetime) -> str:
    """How long it takes until it is the next step's turn, or is live."""
    then = "until it is live" if rolling.step == rolling.steps else f"until step {rolling.step + 1}"
    if rolling.ends_at is None:
        return then
    left = (rolling.ends_at - now).total_seconds()
    return f"{seconds_text(left)} {then}" if left > 0 else f"waits for requests {then}"


def sides_of(rolling: Rolling) -> dict[str, float]:
    """Shares of the traffic, for a bar."""
    return {f"revision {rolling.number}": rolling.share, "what was live": 1 - rolling.share}


def way_of(rolling: Rolling, now: datetime) -> float:
    """How much of its way it has gone, 0 to 1: each step counts the same."""
    passed = 0.0
    if rolling.ends_at and rolling.ends_at > rolling.since:
        passed = (now - rolling.since) / (rolling.ends_at - rolling.since)
    return (rolling.step - 1 + min(1.0, max(0.0, passed))) / rolling.steps


@dataclass
class Lately:
    """Which rollouts a reader was told of, so that each step has its line, and one that lasts another now and then."""

    every_seconds: float = EVERY_SECONDS
    clock: Callable[[], float] = time.monotonic
    _told: dict[str, tuple[int, int, float]] = field(default_factory=dict)  # by endpoint: revision, step, when

    def is_news(self, rolling: Rolling) -> bool:
        """Whether to tell this; it counts as told then."""
        number, step, at = self._told.get(str(rolling.about), (0, 0, 0.0))
        now = self.clock()
        if (number, step) == (rolling.number, rolling.step) and now - at < self.every_seconds:
            return False
        self._told[str(rolling.about)] = rolling.number, rolling.step, now
        return True


def ended_text(end: RolloutEnd) -> str:
    """Of one that went live: 'canary of 2 steps, errors 0.4 % (3 of 812) against 0.5 % (37 of 7,211)'."""
    steps = f"{end.strategy.replace('_', ' ')} of {counted(end.steps, 'step')}"
    said = [steps if end.step == end.steps else f"{steps}, in step {end.step} ({percent_text(end.share)})"]
    said += [end.why] if end.why else []
    if end.candidate.requests:
        said.append(f"errors {errors_text(end.candidate)} against {errors_text(end.live)}")
    return ", ".join(said)


def errors_text(tally: Tally) -> str:
    """'4.8 % (12 of 250)'."""
    if tally.rate is None:
        return "none"
    return f"{tally.rate * 100:.2g} % ({tally.errors:,} of {tally.requests:,})"
