"""How often a job was begun and how long it ran, as the store remembers it until there is a manifest.

`Trainer` asks here whether another attempt may follow and when time is up. The record outlives sagespec and the
containers, so that a kill of either neither adds attempts nor time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sagespec.records.records import Records
from sagespec.state.desired import DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import Artifact, Attempt, Attempts, Manifest


class Course:
    """The attempts at one job. is_kept: whether the store has a record of them."""

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
        self.is_kept = found is not None
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
        has_time = self.spent_seconds + seconds < self._job.max_runtime and not self.overdue
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

    @property
    def overdue_text(self) -> str:
        return f"MaxWaitTimeExceeded: waiting and running took longer than {self._job.max_wait:g} s"

    @property
    def overdue(self) -> str:
        """Why the job must not be begun any more; '' while it may."""
        return self.overdue_text if self.give_up_at and datetime.now(UTC) >= self.give_up_at else ""

    @property
    def wanted_at(self) -> datetime:
        """When it could first have run, as far as it was noted."""
        return self._kept.wanted_at

    def has_ended(self, number: int) -> bool:
        """Whether this attempt was given up, so that its containers are only left over."""
        return number < self.number

    def want(self) -> None:
        """Note the moment from which max_wait counts."""
        if not self.is_kept:
            self._write()

    def begin(self, started_at: datetime) -> None:
        """The present attempt runs. Repeats are fine; one whose containers went unseen is begun anew.

        Kept only where checkpoints must not be taken for those of another spec: others can be told when they end.
        """
        ended = tuple(attempt for attempt in self.attempts if attempt.ended_at)
        before, self._kept = self._kept, self._with(*ended, Attempt(number=len(ended) + 1, started_at=started_at))
        if self._job.checkpoints and (self._kept != before or not self.is_kept):
            self._write()

    def end(self, reason: str, seconds: float, logs: dict[str, Artifact]) -> None:
        """The present attempt has ended through the platform's fault."""
        *ended, present = self.attempts
        changes = {"ended_at": datetime.now(UTC), "reason": reason, "seconds": round(seconds, 3), "logs": logs}
        self._kept = self._with(*ended, present.model_copy(update=changes))
        self._write()

    def told(self, ended_at: datetime, seconds: float, reason: str) -> tuple[Attempt, ...]:
        """All attempts, the present one being the last, for the manifest."""
        *ended, present = self.attempts
        last = {"ended_at": ended_at, "seconds": round(seconds, 3), "reason": reason}
        return (*ended, present.model_copy(update=last))

    def _with(self, *attempts: Attempt) -> Attempts:
        return self._kept.model_copy(update={"attempts": attempts})

    def _write(self) -> None:
        self._records.write_attempts(self._job.address, self._kept)
        self.is_kept = True
