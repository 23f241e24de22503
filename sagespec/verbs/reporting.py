"""Shows on the forge what becomes of each commit of a branch that is followed, while it is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sagespec.errors import SagespecError
from sagespec.events import Report
from sagespec.forge.reporter import Reporter
from sagespec.forge.requests import Forge, settings_of
from sagespec.forge.statuses import CommitStatus, statuses, untold, with_told
from sagespec.parts import Parts
from sagespec.pull import Pull
from sagespec.records.sources import SourceRecords
from sagespec.spec.source import Source
from sagespec.state.source import unreported

MOST_ENDS = 10  # that may have come since it was told last


@contextmanager
def reporting(
    source: Source, pull: Pull, parts_now: Callable[[], Parts | None], token: Callable[[str], str], report: Report
) -> Iterator[None]:
    """parts_now: of the project as it is now; None before it has a commit. token: opens a secret by its name."""
    if source.report is None:
        with suppress(SagespecError, OSError):  # what was so of a forge that is named no more
            if (parts := parts_now()) is not None:
                _write_unreported(parts, "")
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

    def stuck(why: str) -> None:
        if (parts := parts_now()) is not None:
            _write_unreported(parts, why)

    reporter = Reporter(forge, lambda: token(secret), look, told, report, stuck=stuck)
    pull.changed = lambda _record: reporter.wake()
    reporter.wake()
    try:
        yield
    finally:
        reporter.leave()


def _write_unreported(parts: Parts, why: str) -> None:
    now = datetime.now(UTC)
    SourceRecords(parts.store, parts.settings.name).change(
        lambda record: record.model_copy(update={"unreported": unreported(record, why, now)})
    )
