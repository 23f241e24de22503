"""Shows on the forge what becomes of each commit of a branch that is followed, while it is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sagespec.events import Report
from sagespec.forge.reporter import Reporter
from sagespec.forge.requests import Forge, settings_of
from sagespec.forge.statuses import CommitStatus, statuses, untold, with_told
from sagespec.parts import Parts
from sagespec.pull import Pull
from sagespec.records.sources import SourceRecords
from sagespec.spec.source import Source

MOST_ENDS = 10  # that may have come since it was told last


@contextmanager
def reporting(
    source: Source, pull: Pull, parts_now: Callable[[], Parts | None], token: Callable[[str], str], report: Report
) -> Iterator[None]:
    """parts_now: of the project as it is now; None before it has a commit. token: opens a secret by its name."""
    if source.report is None:
        yield
        return
    secret = settings_of(source.report).token.name
    forge = Forge.of(source.report, source.url, name=source.name, environment=source.environment or "")

    def look() -> Sequence[CommitStatus]:
        parts = parts_now()
        if parts is None:
            return ()
        records = SourceRecords(parts.store, parts.settings.name)
        record, suspensions = records.read(), parts.leases().look().suspensions
        return untold(statuses(record, records.ends(MOST_ENDS), suspensions), record.reported)

    def told(status: CommitStatus) -> None:
        parts = parts_now()
        if parts is not None:
            SourceRecords(parts.store, parts.settings.name).change(
                lambda record: record.model_copy(update={"reported": with_told(record.reported, status)})
            )

    reporter = Reporter(forge, lambda: token(secret), look, told, report)
    pull.changed = lambda _record: reporter.wake()
    reporter.wake()
    try:
        yield
    finally:
        reporter.leave()
