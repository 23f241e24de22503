"""Whether a job is to be trained once more, by its `retrain`. Pure: `due` finds out what it is asked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sagespec.display import minute_text
from sagespec.spec.retrain import Retrain
from sagespec.spec.schedule import parse_schedule
from sagespec.state.addresses import Address
from sagespec.state.data import DataChange
from sagespec.state.manifest import Manifest


@dataclass(frozen=True)
class Changed:
    """Data of a channel that are others than those of the newest training. newest_at: of its newest object.

    fingerprint: of what is there now."""

    change: DataChange
    newest_at: datetime
    fingerprint: str = ""


@dataclass(frozen=True)
class Verdict:
    """asks: what asks for a new version. waits: what would, and why not now."""

    asks: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


def why_not_at_all(retrain: Retrain, in_specs: Address, trained: Manifest | None, now: datetime) -> str:
    """What forbids a new version whatever asks for one; '' for nothing. in_specs: the newest version there. trained:
    the newest that is."""
    if trained is None:
        return "no version of it is trained yet"
    if in_specs.version > trained.version:
        return f"{in_specs.name}@{in_specs.version} is in the specs and not trained"
    may_at = trained.ended_at + timedelta(seconds=retrain.at_most_every)
    if now < may_at:
        was = f"{trained.name}@{trained.version} was trained {minute_text(trained.ended_at)}"
        return f"{was}; not again before {minute_text(may_at)}"
    return ""


def decide(retrain: Retrain, trained: Manifest, changed: Sequence[Changed], now: datetime) -> Verdict:
    asks, waits = [], []
    last = parse_schedule(retrain.schedule).last(now) if retrain.schedule else None
    if last and last > trained.started_at:
        asks.append(f"schedule {retrain.schedule}: due since {minute_text(last)}")
    for one in changed:
        settled_at = one.newest_at + timedelta(seconds=retrain.settle)
        if now < settled_at:
            waits.append(f"{one.change}; it settles {minute_text(settled_at)}")
        else:
            asks.append(str(one.change))
    return Verdict(tuple(asks), tuple(waits))
