"""What differs between the models of a variant before and after a change: said by `plan`, and by `apply` at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from sagespec.errors import SagespecError
from sagespec.parts import Parts
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired
from sagespec.state.manifest import Manifest
from sagespec.state.revision import EndpointRecord, Revision, live_revision
from sagespec.verbs.differences import Row, parameters_of, rows_of

MOST_TOLD = 6  # differences of one variant; `compare` has all
Live = Mapping[str, EndpointRecord]


def live_records(revisions: Mapping[str, tuple[Revision, ...]]) -> Live:
    """What each endpoint serves."""
    found = {name: live_revision(one) for name, one in revisions.items()}
    return {name: live.asked for name, live in found.items() if live}


def live_now(parts: Parts) -> Live:
    """{} while the store does not answer: a summary does without."""
    with suppress(SagespecError):
        return live_records(parts.records.revisions())
    return {}


def asked_for(desired: Desired) -> Live:
    return {endpoint.name: endpoint.record for endpoint in desired.endpoints}


def notes_on_models(parts: Parts, before: Live, after: Live) -> tuple[str, ...]:
    """A note for each variant whose model went from one job to another, as far as both are trained."""
    changed = list(_changed(before, after))
    if not changed:
        return ()
    with suppress(SagespecError):
        manifests = parts.records.manifests({job for _, old, new in changed for job in (old, new)})
        return tuple(
            f"{where}: {old.name}@{old.version} -> {new.name}@{new.version}: {differences}"
            for where, old, new in changed
            if old in manifests and new in manifests and (differences := _text(manifests[old], manifests[new]))
        )
    return ()


def _changed(before: Live, after: Live) -> Iterator[tuple[str, Address, Address]]:
    for name, record in after.items():
        old = {variant.name: variant.model.job for variant in before[name].variants} if name in before else {}
        for variant in record.variants:
            was, now = old.get(variant.name), variant.model.job
            if was and now and was != now:
                yield f"endpoint/{name}/{variant.name}", Address.parse(was), Address.parse(now)


def _text(old: Manifest, new: Manifest) -> str:
    """Parameters first, then metrics."""
    rows = [*rows_of([parameters_of(old), parameters_of(new)]), *rows_of([old.metrics, new.metrics])]
    found = [_row_text(row) for row in rows if row.differs]
    more = [f"{len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    return ", ".join([*found[:MOST_TOLD], *more])


def _row_text(row: Row) -> str:
    old, new = ("unset" if v is None else v if isinstance(v, str) else f"{v:.6g}" for v in row.values)
    return f"{row.name} {old} -> {new}"
