"""A rollout's settings as a revision keeps them, and how one ended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from sagespec.spec.rollout import DEFAULT_RULES, DEFAULT_SIZES, AbortRule, Rollout, Size, bake_of, size_from
from sagespec.state.manifest import Record

_DEFAULT = Rollout()


class AsGiven(Record):
    """Written with the fields it was given, so that a record of an earlier or later release keeps its bytes."""

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class RolloutRecord(AsGiven):
    """How a change reaches the callers; times in seconds.

    What came in a later release, from `strategy` on, is given only where it is not the default. size: as text, '' for
    the strategy's default. bake, timeout: None for the default. abort_when: the rules as their spec gives them; None
    for the default.
    """

    healthy_within: float = _DEFAULT.healthy_within
    min_healthy: float = _DEFAULT.min_healthy
    drain_within: float = _DEFAULT.drain_within
    replace: str = _DEFAULT.replace
    strategy: str = _DEFAULT.strategy
    size: str = ""
    wait: float = _DEFAULT.wait
    bake: float | None = None
    timeout: float | None = None
    abort_when: tuple[dict[str, Any], ...] | None = None
    no_requests: str = _DEFAULT.no_requests

    @property
    def is_stepwise(self) -> bool:
        """Whether a change is watched before the old containers go."""
        return self.strategy != _DEFAULT.strategy or self.bake_seconds > 0

    @property
    def moves(self) -> Size:
        return size_from(self.size) if self.size else DEFAULT_SIZES[self.strategy]

    @property
    def bake_seconds(self) -> float:
        return bake_of(self.strategy, self.bake)

    @property
    def rules(self) -> tuple[AbortRule, ...]:
        if self.abort_when is None:
            return DEFAULT_RULES
        return tuple(AbortRule.model_validate(rule) for rule in self.abort_when)


def rollout_record(spec: Rollout) -> RolloutRecord:
    """The record of a spec's rollout."""
    given: dict[str, Any] = {
        "strategy": spec.strategy,
        "size": str(spec.size) if spec.size else "",
        "wait": spec.wait,
        "bake": spec.bake,
        "timeout": spec.timeout,
        "abort_when": None
        if spec.abort_when is None
        else tuple(rule.model_dump(mode="json", exclude_unset=True) for rule in spec.abort_when),
        "no_requests": spec.no_requests,
    }
    fields = RolloutRecord.model_fields
    return RolloutRecord(
        healthy_within=spec.healthy_within,
        min_healthy=spec.min_healthy,
        drain_within=spec.drain_within,
        replace=spec.replace,
        **{name: value for name, value in given.items() if value != fields[name].default},
    )


class Ending(StrEnum):
    """How a rollout ended."""

    LIVE = "live"  # all of its steps passed
    PROMOTED = "promoted"  # somebody had no time for the rest of them
    TAKEN_BACK = "taken_back"  # it was worse than what is live, or than its bounds
    ABORTED = "aborted"  # somebody did not want it any more
    CANCELLED = "cancelled"  # its spec was changed or removed meanwhile


class Tally(Record):
    """What came to one side of a rollout since it began."""

    requests: int = 0
    errors: int = 0

    @property
    def rate(self) -> float | None:
        return self.errors / self.requests if self.requests else None


class RolloutEnd(Record):
    """What became of a rollout, in the revision that it made or would have made. share: of the traffic that the
    candidate had at its end. live: what was live before, while it lasted. why: for people."""

    ending: Ending
    why: str = ""
    strategy: str
    step: int
    steps: int
    share: float
    begun: datetime
    by: str = ""
    candidate: Tally = Tally()
    live: Tally = Tally()
