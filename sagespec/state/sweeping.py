"""What `gc` remembers between its steps: which models nothing names, and since when."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field

from sagespec.state.manifest import Record

WAITS = timedelta(days=7)  # between mark and sweep: time for whoever needs it to say so
YOUNG = timedelta(days=30)  # since the end of the training: kept, whatever names it
EARLIER_KEPT = 5  # of each endpoint: what was live before what is, told apart by hash


class Mark(Record):
    """One job whose files nothing names. key: of what was trained, so that a job trained again is not meant."""

    key: str
    since: AwareDatetime


class Marks(Record):
    """By address of the job."""

    jobs: dict[str, Mark] = Field(default_factory=dict)

    def is_due(self, job: str, key: str, now: datetime) -> bool:
        mark = self.jobs.get(job)
        return mark is not None and mark.key == key and now - mark.since >= WAITS

    def renewed(self, unnamed: dict[str, str], now: datetime) -> Marks:
        """unnamed: the keys of the jobs that nothing names now, by address. What was marked keeps its time."""
        had = {job: mark for job, mark in self.jobs.items() if unnamed.get(job) == mark.key}
        return Marks(jobs={job: had.get(job) or Mark(key=key, since=now) for job, key in sorted(unnamed.items())})
