"""What was counted of an endpoint, look by look: kept in the store, so that it outlives gateway, runs and models. Pure.

A look subtracts what the same gateway had counted before, and so it does not matter how many processes look: what one
has taken in is in the record that the next one starts from. Between two looks no weight changes: whoever sets a route
looks first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import permutations

from pydantic import Field

from sagespec.evidence.sample_ratio import SampleRatio
from sagespec.evidence.sequential import EITHER, Arm, Evidence
from sagespec.state.counts import Counts, Reading, Seen
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import Record

TALLY_FORMAT = 1
MOST_COMPARED = 6  # targets of which each is compared with each


class Pair(Record):
    """Whether the second of two targets fails more, or less often than the first: `Evidence` as the store keeps it."""

    logs: tuple[float, ...] = ()
    highest: float = 0.0

    def as_evidence(self) -> Evidence:
        return Evidence(EITHER, self.logs, self.highest)


class Ratio(Record):
    """Whether requests were split as the weights say: `SampleRatio` as the store keeps it."""

    shares: dict[str, float] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    earlier: float = 0.0
    highest: float = 0.0

    def as_sample_ratio(self) -> SampleRatio:
        return SampleRatio(self.shares, self.counts, self.earlier, self.highest)


class Tally(Seen):
    """All that was counted of one endpoint: for its present revision, and of each target since
    it was first routed to.

    revision: the live one; 0 where none was known. own: the targets that it asks for. here: of that revision. targets:
    of those that are routed to, whichever revisions asked for them. pairs: by the two targets, `first|second`.
    """

    format: int = TALLY_FORMAT
    revision: int = 0
    own: tuple[str, ...] = ()
    here: dict[str, Counts] = Field(default_factory=dict)
    targets: dict[str, Counts] = Field(default_factory=dict)
    pairs: dict[str, Pair] = Field(default_factory=dict)
    ratio: Ratio = Ratio()

    def is_before(self, reading: Reading) -> bool:
        """Whether the last look was: somebody else may have looked since the reading, which then is taken in already.
        Where Envoy has forgotten something it cannot be told, and counts as taken in."""
        now = reading.counts
        return reading.gateway != self.gateway or all(
            now.get(target, Counts()).has(seen) for target, seen in self.seen.items()
        )

    def after(self, reading: Reading, *, is_mixed: bool = False) -> Tally:
        """With one more look. Of targets that are neither routed to nor counted any more, their revision keeps what
        there is. is_mixed: some of it came by other weights, so nothing follows from how it was split."""
        came = self.came(reading)
        known = reading.shares.keys() | reading.counts.keys()
        return self.model_copy(
            update={
                "gateway": reading.gateway,
                "seen": dict(reading.counts),
                "here": _added(self.here, came),
                "targets": {target: one for target, one in _added(self.targets, came).items() if target in known},
                "pairs": self._pairs_after({} if is_mixed else came, reading.shares),
                "ratio": self.ratio if is_mixed else self._ratio_after(came, reading.shares),
            }
        )

    def _pairs_after(self, came: Mapping[str, Counts], shares: Mapping[str, float]) -> dict[str, Pair]:
        compared = list(shares)[:MOST_COMPARED]
        arms = {target: Arm(one.requests, min(one.errors, one.requests)) for target, one in came.items()}
        none = Arm(0, 0)
        pairs = {}
        for first, second in permutations(compared, 2):
            evidence = self.pair(first, second).after(arms.get(first, none), arms.get(second, none))
            pairs[f"{first}|{second}"] = Pair(logs=evidence.logs, highest=evidence.highest)
        return {name: pair for name, pair in pairs.items() if pair != Pair()}

    def _ratio_after(self, came: Mapping[str, Counts], shares: Mapping[str, float]) -> Ratio:
        requests = {target: one.requests for target, one in came.items()}
        new = self.ratio.as_sample_ratio().after(requests, shares)
        return Ratio(shares=dict(new.shares), counts=dict(new.counts), earlier=new.earlier, highest=new.highest)

    @property
    def of_revision(self) -> dict[str, Counts]:
        """What its own targets had: others are on their way to be a revision of their own."""
        return {target: one for target, one in self.here.items() if not self.own or self._has(target)}

    def pair(self, control: str, candidate: str) -> Evidence:
        return self.pairs.get(f"{control}|{candidate}", Pair()).as_evidence()

    def target_of(self, wanted: str) -> str:
        """Under which name it is counted: a model's checksum may be missing from either hash."""
        return next((one for one in self.targets if _is_in(one, [wanted])), wanted)

    def begin(self, revision: int, targets: Collection[str]) -> tuple[Tally, dict[str, Counts]]:
        """With a revision that has gone live, and what stays with the one before. Its own is also what its targets got
        on their way to it. Whether the split of others was broken says nothing of its own."""
        own = {target: one for target, one in self.here.items() if _is_in(target, targets) and not self._has(target)}
        stays = {target: one for target, one in self.here.items() if target not in own}
        is_same = not self.revision or all(self._has(target) for target in targets)  # at first none is known
        ratio = self.ratio if is_same else Ratio()
        return self.model_copy(update={"revision": revision, "own": tuple(targets), "here": own, "ratio": ratio}), stays

    def give_up(self) -> tuple[Tally, dict[str, Counts]]:
        """Without what was counted of targets that the live revision does not ask for: they were one that failed."""
        tried = {target: one for target, one in self.here.items() if not self._has(target)}
        here = {target: one for target, one in self.here.items() if target not in tried}
        return self.model_copy(update={"here": here}), tried

    def _has(self, target: str) -> bool:
        return _is_in(target, self.own)


def _is_in(target: str, targets: Collection[str]) -> bool:
    variant, _, hash_text = target.partition("/")
    pairs = (one.partition("/") for one in targets)
    return any(variant == name and same_hash(other, hash_text) for name, _, other in pairs)


class Ended(Record):
    """What was counted of a revision by its end, by target."""

    format: int = TALLY_FORMAT
    counts: dict[str, Counts] = Field(default_factory=dict)


def _added(old: Mapping[str, Counts], new: Mapping[str, Counts]) -> dict[str, Counts]:
    return {target: old.get(target, Counts()).plus(new.get(target, Counts())) for target in {**old, **new}}
