"""How often a job was started and how long it ran, kept in the store until there is a manifest.

`run` uses it to decide whether another attempt may follow, and when time is up. The record outlives sagespec and the
containers, so that killing either adds neither attempts nor time. It also has how the present attempt began, out of
reach of the job, whose word is no evidence.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sagespec.clock import Clock
from sagespec.records.records import Records
from sagespec.state.desired import DesiredJob
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import Artifact, Attempt, AttemptsRecord, Manifest, Started


class Attempts:
    """The attempts at one job. is_kept: whether the store has a record of them."""

    def __init__(self, records: Records, job: DesiredJob, clock: Clock) -> None:
        """Reads what the store has. Attempts at another spec, or from before the last manifest, do not count."""
        self._records = records
        self._job = job
        self._clock = clock
        self.manifest: Manifest | None = records.manifests([job.address]).get(job.address)
        found = records.attempts(job.address)
        self.earlier_key = found.key if found else self.manifest.key if self.manifest else ""
        if found and self.manifest and found.wanted_at <= self.manifest.ended_at:
            found = None
        if found and not same_hash(job.key, found.key):
            found = None
        self.is_kept = found is not None
        self._kept = found or AttemptsRecord(
            key=job.key,
            key_fields=dict(job.key_fields),
            files={field: dict(files) for field, files in job.files.items()},
            wanted_at=self._after_the_manifest(),
        )

    def _after_the_manifest(self) -> datetime:
        """Now, whatever the clock of whoever wrote the manifest said: what is older than it does not count."""
        now = self._clock.now()
        return max(now, self.manifest.ended_at + timedelta(milliseconds=1)) if self.manifest else now

    @property
    def all(self) -> tuple[Attempt, ...]:
        """Oldest first; the last has not ended while its containers run."""
        return self._kept.attempts

    @property
    def number(self) -> int:
        """Which attempt is running, or would be next; the first is 1."""
        return sum(bool(attempt.ended_at) for attempt in self.all) + 1

    def may_go_on(self, seconds: float) -> bool:
        """Whether another attempt is allowed, and has time left, after the present one took `seconds`."""
        has_time = self.spent_seconds + seconds < self._job.max_runtime_seconds and not self.overdue
        return self.number <= self._job.retries and has_time

    @property
    def spent_seconds(self) -> float:
        """How long all earlier attempts trained, together; max_runtime limits it."""
        return sum(attempt.seconds for attempt in self.all)

    @property
    def give_up_at(self) -> datetime | None:
        """When max_wait is over; None without one."""
        if self._job.max_wait_seconds is None:
            return None
        return self._kept.wanted_at + timedelta(seconds=self._job.max_wait_seconds)

    @property
    def max_wait_exceeded(self) -> Fault:
        """What ends the job at `give_up_at`."""
        return Fault(FaultKind.MAX_WAIT, f"waiting and running took longer than {self._job.max_wait_seconds:g} s")

    @property
    def overdue(self) -> Fault | None:
        """Why it is too late to start the job; None if it may start."""
        return self.max_wait_exceeded if self.give_up_at and self._clock.now() >= self.give_up_at else None

    @property
    def wanted_at(self) -> datetime:
        """When the job could first have run, as far as that was noted."""
        return self._kept.wanted_at

    def has_ended(self, number: int) -> bool:
        """Whether attempt `number` is over, so that containers of it are only left over."""
        return number < self.number

    def want(self) -> None:
        """Note the moment from which max_wait counts."""
        if not self.is_kept:
            self._write()

    @property
    def started(self) -> Started | None:
        """How the last attempt began, whether it has ended or not; None if the store does not say."""
        return self._kept.started

    def begin(self, started: Started) -> None:
        """Note that the present attempt runs. Repeats are fine; an attempt whose containers vanished begins again."""
        ended = tuple(attempt for attempt in self.all if attempt.ended_at)
        present = Attempt(number=len(ended) + 1, started_at=started.started_at)
        kept = self._with(*ended, present).model_copy(update={"started": started, "unstarted": ""})
        if kept != self._kept or not self.is_kept:
            self._kept = kept
            self._write()

    def could_not_begin(self, reason: str) -> None:
        """Note for `status` why the job does not run."""
        if reason != self._kept.unstarted:
            self._kept = self._kept.model_copy(update={"unstarted": reason})
            self._write()

    def end(self, reason: str, seconds: float, logs: dict[str, Artifact]) -> None:
        """Note that the platform ended the present attempt."""
        *ended, present = self.all
        changes = {"ended_at": self._clock.now(), "reason": reason, "seconds": round(seconds, 3), "logs": logs}
        self._kept = self._with(*ended, present.model_copy(update=changes))
        self._write()

    def all_ended(self, ended_at: datetime, seconds: float, reason: str) -> tuple[Attempt, ...]:
        """All attempts for the manifest, the present one last, with how it ended."""
        *ended, present = self.all
        last = {"ended_at": ended_at, "seconds": round(seconds, 3), "reason": reason}
        return (*ended, present.model_copy(update=last))

    def _with(self, *attempts: Attempt) -> AttemptsRecord:
        return self._kept.model_copy(update={"attempts": attempts})

    def _write(self) -> None:
        self._records.write_attempts(self._job.address, self._kept)
        self.is_kept = True
