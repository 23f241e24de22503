"""Takes what the gateway has counted into the store, so that it outlives gateway, runs and models.

Whoever changes what requests reach looks first (`serve`), and the recorder looks every minute in which there were any.
The record is read before the gateway is asked, and written only if nobody else has since: so two processes count
nothing twice, and of the same gateway a later look never says less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

from sagespec.errors import SagespecError
from sagespec.records.records import Records
from sagespec.records.tallies import Tallies
from sagespec.state.counts import Counts, Reading
from sagespec.state.desired import desired_endpoint
from sagespec.state.revision import Revision, RevisionStatus, live_revision
from sagespec.state.tally import Tally
from sagespec.stores.protocol import Conflict

MOST_TRIES = 5


class Reads(Protocol):
    """The gateway, as far as it counts."""

    def readings(self) -> Mapping[str, Reading]: ...


def count(endpoint_name: str, records: Records, gateway: Reads, *, is_mixed: bool = False) -> None:
    """Take in what came to an endpoint. Nothing is written where nothing came; where gateway or store do not answer,
    the next look takes it in, if it is of the same gateway. is_mixed: the weights have changed since the last look."""
    with suppress(SagespecError, OSError):
        _update(endpoint_name, records, gateway, is_mixed=is_mixed)


def reading_of(endpoint_name: str, gateway: Reads) -> Reading | None:
    """What the gateway has counted of an endpoint; None where it does not say."""
    with suppress(SagespecError, OSError):
        return gateway.readings().get(endpoint_name)
    return None


def count_before(endpoint_name: str, before: Reading | None, records: Records, gateway: Reads) -> None:
    """Take in what came to an endpoint until its weights were changed, and apart from that what came since. before: as
    read when they were about to be; None where that is not known."""
    with suppress(SagespecError, OSError):
        _update(endpoint_name, records, gateway, before=before, is_mixed=True)


def count_all(records: Records, gateway: Reads) -> None:
    """The same for all endpoints that the gateway has counted something of."""
    with suppress(SagespecError, OSError):
        for name, reading in gateway.readings().items():
            if reading.counts:
                count(name, records, gateway)


def count_ended(revision: Revision, records: Records, gateway: Reads) -> None:
    """The same, once a revision was recorded: what was counted of the one before it, or of one that failed, is kept."""
    with suppress(SagespecError, OSError):
        _update(revision.endpoint, records, gateway, partial(_after, revision))


def tally_now(endpoint_name: str, records: Records, readings: Mapping[str, Reading]) -> Tally:
    """All that was counted up to now. Writes nothing; without a reading, up to the last look."""
    tally, _ = Tallies(records.store, records.project_name).read(endpoint_name)
    reading = readings.get(endpoint_name)
    if reading and tally.came(reading):
        return _in_live(tally.after(reading), endpoint_name, records)[0]
    return tally


def targets_of(revision: Revision) -> tuple[str, ...]:
    """Which ones it asks for, as the gateway counts them."""
    endpoint = desired_endpoint(revision.endpoint, revision.asked)
    return tuple(f"{variant.name}/{variant.hash}" for variant in endpoint.variants)


_Stays = dict[str, Counts]  # what stays with a revision that has ended, by target


def _update(
    endpoint_name: str,
    records: Records,
    gateway: Reads,
    at_end: Callable[[Tally], tuple[Tally, int, _Stays]] | None = None,
    *,
    before: Reading | None = None,
    is_mixed: bool = False,
) -> None:
    """What ends is written before the record that no longer has it: killed in between, the next look writes it again.
    at_end: what else becomes of it, once the look is taken in. before: an earlier look that was not taken in yet."""
    tallies = Tallies(records.store, records.project_name)
    for _ in range(MOST_TRIES):
        known, etag = tallies.read(endpoint_name)
        reading = gateway.readings().get(endpoint_name)
        tally = known.after(before) if before and reading and _is_new(before, known, reading) else known
        tally = tally.after(reading, is_mixed=is_mixed) if reading and tally.came(reading) else tally
        if tally == Tally():
            return
        tally, number, stays = _in_live(tally, endpoint_name, records) if at_end is None else at_end(tally)
        if tally == known:
            return
        if stays and number:
            tallies.end(endpoint_name, number, stays)
        with suppress(Conflict):
            tallies.write(endpoint_name, tally, etag)
            return


def _is_new(before: Reading, known: Tally, reading: Reading) -> bool:
    """Whether an earlier look at the same gateway is still to be taken in."""
    return before.gateway == reading.gateway and known.is_before(before) and bool(known.came(before))


def _in_live(tally: Tally, endpoint_name: str, records: Records) -> tuple[Tally, int, _Stays]:
    """In the revision that is live: whoever recorded it may have been killed before it was said here."""
    live = live_revision(records.revisions([endpoint_name]).get(endpoint_name, ()))
    return _after(live, tally) if live else (tally, 0, {})


def _after(recorded: Revision, tally: Tally) -> tuple[Tally, int, _Stays]:
    if recorded.status in (RevisionStatus.LIVE, RevisionStatus.REMOVED):
        if tally.revision == recorded.number:
            return tally, 0, {}
        new, stays = tally.begin(recorded.number, targets_of(recorded))
        return new, tally.revision, stays
    new, tried = tally.give_up()
    return new, recorded.number, tried
