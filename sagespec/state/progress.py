"""How far a rollout has come, as the store keeps it while it lasts, and what people ask of it.

Whoever makes the next pass continues from here: the step, since when, and what had been counted at its begin.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from sagespec.evidence.sequential import Evidence
from sagespec.state.counts import Counted, Counts
from sagespec.state.manifest import Record
from sagespec.state.revision import EndpointRecord, Revision

PROGRESS_FORMAT = 1


class Log(Record):
    """What the looks so far say for one rule: the fields of an `Evidence`."""

    logs: tuple[float, ...] = ()
    highest: float = 0.0

    @classmethod
    def of(cls, evidence: Evidence) -> Log:
        return cls(logs=evidence.logs, highest=evidence.highest)

    @property
    def evidence(self) -> Evidence:
        return Evidence(logs=self.logs, highest=self.highest)


class Progress(Record):
    """One rollout that has begun: its candidate has, or is about to have, a share of the traffic.

    number: of the revision that it is to become. hash, asked: of the candidate's spec. step: from 1. since: when it
    began; begun: when the first one did. by: the run that began it. looked_at: when `counted` was read; None: the
    counters are read when this is written. at_begin, at_step: what had been counted of each target when the rollout and
    the step began. evidence: by the measure of each rule that compares. down_since: since when no instance of the
    candidate is healthy. gateway_since: since when the present gateway is known, where it is not the one of the step's
    begin.
    """

    format: int = PROGRESS_FORMAT
    endpoint: str
    number: int
    hash: str
    asked: EndpointRecord
    step: int
    since: datetime
    begun: datetime
    by: str = ""
    looked_at: datetime | None = None
    counted: Counted = Counted()
    at_begin: dict[str, Counts] = Field(default_factory=dict)
    at_step: dict[str, Counts] = Field(default_factory=dict)
    evidence: dict[str, Log] = Field(default_factory=dict)
    down_since: datetime | None = None
    gateway_since: datetime | None = None

    def is_over(self, revisions: tuple[Revision, ...]) -> bool:
        """Whether it has ended: a revision of its number, or a later one, is recorded."""
        return any(revision.number >= self.number for revision in revisions)

    @property
    def totals(self) -> dict[str, Counts]:
        """All that was ever counted, by target."""
        return {target: self.counted.of(target) for target in self.counted.targets}

    def since_begin(self, target: str) -> Counts:
        return self.counted.of(target).since(self.at_begin.get(target, Counts()))

    def since_step(self, target: str) -> Counts:
        return self.counted.of(target).since(self.at_step.get(target, Counts()))


class _Request(Record):
    """What somebody wants of the rollout of revision `number`; kept until that is over. Any run carries it out."""

    endpoint: str
    number: int
    reason: str = ""
    by: str
    at: datetime

    def is_for(self, progress: Progress) -> bool:
        return self.number == progress.number


class PromoteRequest(_Request):
    """The candidate is to be live at once: the rest of its steps and waits is left out."""


class AbortRequest(_Request):
    """The candidate is to be taken back; its spec is not tried again until it changes."""
