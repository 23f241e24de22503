"""What `gc` remembers between its steps: which models nothing names, and since when; and which it has deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field

from sagespec.state.addresses import Address
from sagespec.state.manifest import Record

WAITS = timedelta(days=7)  # between mark and sweep: time for whoever needs it to say so
YOUNG = timedelta(days=30)  # since the end of the training: kept, whatever names it
EARLIER_KEPT = 5  # of each endpoint: what was live before what is, told apart by hash


def restoring(job: Address, environment: str) -> str:
    """What to do about a model that was swept. environment: in which; '' for none."""
    named = f" --env {environment}" if environment else ""
    back = f"sagespec gc --restore {job.name}@{job.version} --from MODEL.tar.gz{named}"
    return f"restore it from a back-up: {back}; or train it as another version"


def swept_text(job: Address, environment: str) -> str:
    """What to say of one, beside its state."""
    return f"its model was swept by gc; {restoring(job, environment)}"


class Mark(Record):
    """One job whose files nothing names. key: of what was trained, so that a job trained again is not meant."""

    key: str
    since: AwareDatetime

    @property
    def due_at(self) -> datetime:
        """From when it may be swept."""
        return self.since + WAITS


class Marks(Record):
    """By address of the job. swept: what was deleted, and when, as of the last step; the manifests say it, and this is
    their list, for those who would have to read them all."""

    jobs: dict[str, Mark] = Field(default_factory=dict)
    swept: dict[str, AwareDatetime] = Field(default_factory=dict)

    def is_due(self, job: str, key: str, now: datetime) -> bool:
        mark = self.jobs.get(job)
        return mark is not None and mark.key == key and now >= mark.due_at

    def renewed(self, unnamed: Mapping[str, str], swept: Mapping[str, datetime], now: datetime) -> Marks:
        """unnamed: the keys of the jobs that nothing names now, by address. What was marked keeps its time."""
        had = {job: mark for job, mark in self.jobs.items() if unnamed.get(job) == mark.key}
        marked = {job: had.get(job) or Mark(key=key, since=now) for job, key in sorted(unnamed.items())}
        return Marks(jobs=marked, swept=dict(sorted(swept.items())))

    def restored(self, job: str) -> Marks:
        """Without what was deleted of a job, which is back."""
        return Marks(jobs=self.jobs, swept={name: at for name, at in self.swept.items() if name != job})
