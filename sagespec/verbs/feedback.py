"""Takes ground truth for predictions: from a file, or what callers have posted to the gateway. It becomes rewards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sagespec.display import Displayed
from sagespec.errors import SagespecError, SpecError, WorldError
from sagespec.parts import Parts
from sagespec.records.rewards import KeptRewards
from sagespec.spec.compare import Compare
from sagespec.spec.compare import Reward as Range
from sagespec.spec.endpoint import Endpoint
from sagespec.state.addresses import GATEWAY
from sagespec.state.rewards import Reward, Rewards
from sagespec.traffic.predictions import Posted, Predictions, claimed, mark_taken
from sagespec.verbs.history import unknown_endpoint
from sagespec.verbs.plan import load_specs
from sagespec.verbs.truths import Truth, told, truths_of

LINES_OF_A_MINUTE = 100_000  # of the gateway's log, of which it keeps about so many


@dataclass(frozen=True, repr=False)
class Fed(Displayed):
    """taken: rewards that belong to a prediction. unknown: those whose prediction is not known, or had one already."""

    endpoint: str
    taken: int
    unknown: int

    def as_json(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint, "taken": self.taken, "unknown": self.unknown}


def feedback(parts: Parts, endpoint_name: str, text: str) -> Fed:
    """SpecError with every line that is no ground truth; then none of it is taken."""
    if endpoint_name not in parts.records.endpoint_names():
        raise unknown_endpoint(parts, endpoint_name, "has never been applied")
    span = asked_of(parts, endpoint_name).reward
    truths, wrong = truths_of(text, least=span.least, most=span.most)
    if wrong:
        raise SpecError(told(wrong))
    collect(parts)
    return _take(parts, endpoint_name, span, truths, ())


def asked_of(parts: Parts, endpoint_name: str) -> Compare:
    """What its spec says of comparing; the defaults where it has none any more."""
    for item in load_specs(parts).specs:
        if isinstance(item.spec, Endpoint) and item.spec.name == endpoint_name:
            return item.spec.compare
    return Compare()


def collect(parts: Parts, *, tail: int | None = None) -> None:
    """Take what the gateway's log has: which target made which prediction, and feedback that was posted. Without an
    engine, store or valid specs it waits for the next time. tail: the last lines alone."""
    with suppress(SagespecError, OSError, sqlite3.Error):
        posted: dict[str, list[Posted]] = {}
        for one in predictions_of(parts).take_in(_log(parts, tail)):
            posted.setdefault(one.endpoint, []).append(one)
        for name, requests in posted.items():
            span = asked_of(parts, name).reward
            found = [truths_of(one.text, least=span.least, most=span.most) for one in requests]
            truths = [truth for truths, _ in found for truth in truths]
            _take(parts, name, span, truths, requests, refused=sum(len(wrong) for _, wrong in found))


def keep(parts: Parts) -> None:
    """What `watch` and the dashboard do every minute with requests: counts and predictions outlive the gateway."""
    parts.keep_counts()
    collect(parts, tail=LINES_OF_A_MINUTE)


def predictions_of(parts: Parts) -> Predictions:
    return Predictions(parts.kept / "predictions.db")


def _log(parts: Parts, tail: int | None) -> Iterable[str]:
    gateways = [container for container in parts.runtime.containers() if container.address == GATEWAY]
    for container in gateways:
        yield from parts.runtime.logs(container.name, tail=tail)


def _take(
    parts: Parts, name: str, span: Range, truths: Sequence[Truth], posted: Sequence[Posted], *, refused: int = 0
) -> Fed:
    """The store and the database change together, or neither does."""
    kept = KeptRewards(parts.store, parts.records.project_name)
    with predictions_of(parts).opened() as database:
        targets = claimed(database, name, dict.fromkeys(truth.id for truth in truths))
        mark_taken(database, posted)
        width = span.most - span.least
        first = {truth.id: truth.value for truth in reversed(truths)}
        rewards = [Reward(target, (first[one] - span.least) / width) for one, target in targets.items()]
        before, etag = kept.read(name)
        if (before.least, before.most) != (span.least, span.most):  # another scale: what there was means another thing
            before = Rewards(least=span.least, most=span.most)
        new = before.after(rewards)
        unknown = len(truths) - len(rewards)
        new = new.model_copy(update={"unknown": before.unknown + unknown, "refused": before.refused + refused})
        if new != before:
            kept.write(name, new, etag)
    return Fed(name, len(rewards), unknown)


def text_of_file(content: bytes, place: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise WorldError(f"{place} is not text", fix="give a file with a JSON object in each line") from None
