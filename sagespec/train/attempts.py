"""How often a job was begun and how long it ran, as the store remembers it until there is a manifest.

`Trainer` asks here whether another attempt may follow and when time is up. The record outlives sagespec and the
containers, so that a kill of either neither adds attempts nor time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sagespec.manifest import Artifact, Attempt, Attempts, Manifest
from sagespec.records import Records
from sagespec.state import DesiredJob, same_hash


class Course:
    """The attempts at one job. Written to the store at each change."""

    def __init__(self, records: Records, job: DesiredJob) -> None:
        """Reads what there is. Attempts of another spec, or from before the manifest, are another course's."""
        self._records = records
        self._job = job
        self.manifest: Manifest | None = records.manifests([job.address]).get(job.address)
        found = records.attempts(job.address)
        self.earlier_key = found.key if found else self.manifest.key if self.manifest else ""
        if found and self.manifest and found.wanted_at <= self.manifest.ended_at:
            found = None
        if found and not same_hash(job.key, found.key):
            found = None
        self._is_new = found is None
        self._kept = found or Attempts(key=job.key, wanted_at=datetime.now(UTC))

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self._kept.attempts

    @property
    def number(self) -> int:
        """Of the present or next attempt, from 1."""
        return sum(bool(attempt.ended_at) for attempt in self.attempts) + 1

    def may_go_on(self, seconds: float) -> bool:
        """Whether another attempt is allowed and has time after the present one, which took `seconds`."""
        has_waited_too_long = self.give_up_at is not None and datetime.now(UTC) >= self.give_up_at
        has_time = self.spent_seconds + seconds < self._job.max_runtime and not has_waited_too_long
        return self.number <= self._job.retries and has_time

    @property
    def spent_seconds(self) -> float:
        """Of training, in attempts that have ended."""
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def give_up_at(self) -> datetime | None:
        """When max_wait is over."""
        if self._job.max_wait is None:
            return None
        return self._kept.wanted_at + timedelta(seconds=self._job.max_wait)

    def has_ended(self, number: int) -> bool:
        """Whether this attempt was given up, so that its containers are only left over."""
        return number < self.number

    def want(self) -> None:
        """Note the moment from which max_wait counts."""
        if self._is_new:
            self._write(self.attempts)

    def begin(self, started_at: datetime) -> None:
        """The present attempt runs. Repeats are fine; one whose containers went unseen is begun anew."""
        ended = tuple(attempt for attempt in self.attempts if attempt.ended_at)
        present = Attempt(number=len(ended) + 1, started_at=started_at)
        if self.attempts != (*ended, present):
            self._write((*ended, present))

    def end(self, reason: str, seconds: float, logs: dict[str, Artifact]) -> None:
        """The present attempt has ended through the platform's fault."""
        *ended, present = self.attempts
        changes = {"ended_at": datetime.now(UTC), "reason": reason, "seconds": round(seconds, 3), "logs": logs}
        self._write((*ended, present.model_copy(update=changes)))

    def _write(self, attempts: tuple[Attempt, ...]) -> None:
        self._kept = self._kept.model_copy(update={"attempts": attempts})
        self._records.write_attempts(self._job.address, self._kept)
        self._is_new = False
