"""How a change of an endpoint reaches callers: all at once or step by step, and what takes it back.

`spec.endpoint` has it as a field of an Endpoint. The arithmetic of sizes is here too, since a spec whose waits do not
fit its timeout is refused when it is loaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from sagespec.spec.document import Update
from sagespec.spec.gate import Gate
from sagespec.spec.values import Seconds, SpecModel, parse_duration, quoted, wrong

ALL_AT_ONCE, CANARY, LINEAR, ROLLING = "all_at_once", "canary", "linear", "rolling"
LIMITS = {CANARY: (0.0, 0.5), LINEAR: (0.1, 0.5), ROLLING: (0.05, 0.5)}  # SageMaker's, of a size as a share
DEFAULT_BAKE = 300.0
DEFAULT_ALPHA = "1%"
DEFAULT_REQUESTS = 50
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")
_ABOVE = re.compile(r"> ?(.+)")
WORSE = "worse"


class Size(NamedTuple):
    """How much moves in one step: a share of each variant, or so many of its instances (share is None then)."""

    share: float | None = None
    instances: int = 0

    def __str__(self) -> str:
        return f"{{instances: {self.instances}}}" if self.share is None else f"{self.share * 100:g}%"

    def of(self, instances: int) -> float:
        """As a share of a variant with so many instances."""
        return min(1.0, self.instances / instances) if self.share is None else self.share

    def batch(self, instances: int) -> int:
        """As a number of its instances: at least one, and never more than the share allows."""
        return self.instances or max(1, math.floor((self.share or 0.0) * instances + 1e-9))


DEFAULT_SIZES = {ALL_AT_ONCE: Size(1.0), CANARY: Size(0.1), LINEAR: Size(0.25), ROLLING: Size(0.25)}


def parse_percent(text: Any) -> float:
    """A share from `10%`.

    >>> parse_percent("12.5%")
    0.125
    """
    match = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    if not match or not 0 < float(match[1]) <= 100:
        raise wrong(f"{quoted(text)} is not a percentage", "write one above 0 and up to 100, e.g. 10%")
    return float(match[1]) / 100


def size_from(value: Any) -> Size:
    """From `10%`, `{instances: 1}`, or the text of either."""
    if isinstance(value, Size):
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"\{instances: (\d+)\}", value)):
        return Size(None, int(match[1]))
    if isinstance(value, Mapping):
        count = value.get("instances")
        if set(value) != {"instances"} or not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise wrong("is neither a percentage nor a number of instances", "write 10%, or {instances: 1}")
        return Size(None, count)
    return Size(parse_percent(value))


def _bound(value: str, *, is_valid: Any, example: str) -> str:
    match = _ABOVE.fullmatch(value)
    if value != WORSE and not (match and is_valid(match[1])):
        raise wrong(f"{quoted(value)} is no bound", f'write worse, or a value to stay below: "> {example}"')
    return value


def _is_percent(text: str) -> bool:
    return bool(_PERCENT.fullmatch(text))


def _is_duration(text: str) -> bool:
    try:
        return parse_duration(text) > 0
    except ValueError:
        return False


def limit_of(bound: str) -> float | None:
    """The number that a bound names: a share of the requests, or seconds. None for `worse`.

    >>> limit_of("> 2%"), limit_of("> 800ms"), limit_of("worse")
    (0.02, 0.8, None)
    """
    match = _ABOVE.fullmatch(bound)
    if not match:
        return None
    return parse_percent(match[1]) if match[1].endswith("%") else parse_duration(match[1])


ErrorBound = Annotated[str, AfterValidator(lambda value: _bound(value, is_valid=_is_percent, example="2%"))]
TimeBound = Annotated[str, AfterValidator(lambda value: _bound(value, is_valid=_is_duration, example="800ms"))]


def _check_alpha(value: str) -> str:
    if parse_percent(value) > 0.5:
        raise wrong(f"{quoted(value)} is out of range", "a share of false alarms is at most 50%")
    return value


class AbortRule(SpecModel):
    """One thing that takes a rollout back."""

    errors: ErrorBound | None = Field(default=None, examples=["worse", "> 2%"])
    """`worse` than those of what is live, or more than a share of the requests. Answers 4xx and 5xx count, and requests
    without an answer."""
    p50: TimeBound | None = Field(default=None, examples=["worse", "> 200ms"])
    """The median of the latencies: `worse` than that of what is live, or above a time."""
    p99: TimeBound | None = Field(default=None, examples=["worse", "> 800ms"])
    """The same of the slowest 1 % of the requests."""
    requests: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_REQUESTS
    """So many requests in the step before a bound counts."""
    alpha: Annotated[str, AfterValidator(_check_alpha)] = DEFAULT_ALPHA
    """In which share of rollouts of equally good models `worse` may be wrong."""

    @model_validator(mode="after")
    def _one_measure(self) -> AbortRule:
        given = [name for name in ("errors", "p50", "p99") if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(
                f"names {' and '.join(given) or 'nothing'}", "name exactly one of errors, p50 and p99 in a rule"
            )
        return self

    @property
    def measure(self) -> str:
        return next(name for name in ("errors", "p50", "p99") if getattr(self, name) is not None)

    @property
    def bound(self) -> float | None:
        """A share or seconds; None for `worse`."""
        return limit_of(getattr(self, self.measure))

    def __str__(self) -> str:
        return f"{self.measure} {getattr(self, self.measure)}"


DEFAULT_RULES = (AbortRule(errors=WORSE),)


class Rollout(SpecModel):
    """How a change of model reaches callers."""

    strategy: Annotated[Literal["all_at_once", "canary", "linear", "rolling"], Update.NONE] = "all_at_once"
    """`all_at_once`: new containers, once healthy, take over all of the variant's traffic. `canary`: a part of it
    first. `linear`: in equal steps. `rolling`: in steps, a batch of containers at a time."""
    size: Annotated[
        Size | None,
        PlainValidator(size_from),
        PlainSerializer(lambda size: str(size) if size else None),
        WithJsonSchema(
            {
                "title": "percentage or {instances: N}",
                "anyOf": [
                    {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,6})? ?%$"},
                    {
                        "type": "object",
                        "properties": {"instances": {"type": "integer", "minimum": 1}},
                        "required": ["instances"],
                        "additionalProperties": False,
                    },
                ],
                "default": None,
            }
        ),
        Update.NONE,
    ] = None
    """What moves in one step. Default: 10% of a canary (at most 50%), 25% of the others."""
    wait: Annotated[Seconds, Update.NONE] = 300.0
    """How long each step but the last is watched."""
    bake: Annotated[Seconds | None, Update.NONE] = None
    """How long all of the traffic is watched while the old containers stay, ready to take it back. Default: 5m, and
    none for all_at_once."""
    timeout: Annotated[Seconds | None, Update.NONE] = None
    """A rollout that takes longer is taken back; more than the sum of its waits. Default: no limit."""
    abort_when: Annotated[tuple[AbortRule, ...] | None, Field(max_length=10, strict=False), Update.NONE] = None
    """What takes a rollout back, beside a failure to start. Default: [{errors: worse}]."""
    no_requests: Annotated[Literal["advance", "hold"], Update.NONE] = "advance"
    """After a step without a request: go to the next one, or `hold` until there are some, or the timeout."""
    healthy_within: Annotated[Seconds, Update.NONE] = 480.0
    """New containers must answer /ping within this time; SageMaker allows 8 minutes."""
    min_healthy: Annotated[Seconds, Update.NONE] = 1.0
    """New containers must then stay healthy this long before they get traffic."""
    drain_within: Annotated[Seconds, Update.NONE] = 70.0
    """Old containers get this long to finish their requests; a request may run for at most 60 s."""
    replace: Annotated[Literal["changed", "always"], Update.REPLACE] = "changed"
    """`always` starts new containers for every variant whenever the split changes."""
    gate: Annotated[Gate | None, Update.NONE] = None
    """What a model must have measured before it gets traffic: a change to one that has not is held, whoever made it."""

    @model_validator(mode="after")
    def _fits_its_strategy(self) -> Rollout:
        if self.strategy == ALL_AT_ONCE:
            for name in ("size", "wait"):
                if name in self.model_fields_set:
                    raise wrong("does not go with all_at_once", "remove it, or set another strategy", at=(name,))
        elif self.size and self.size.share is not None:
            least, most = LIMITS[self.strategy]
            if not least <= self.size.share <= most:
                raise wrong(
                    f"{self.size} is out of range for {self.strategy}",
                    f"give between {least * 100 or 1:g}% and {most * 100:g}%",
                    at=("size",),
                )
        if self.no_requests == "hold" and self.timeout is None:
            raise wrong("hold needs a timeout", "set timeout, e.g. 1h", at=("no_requests",))
        return self


def number_of_steps(strategy: str, size: Size, instances: Sequence[int]) -> int:
    """How many steps it takes until all has moved. instances: of each variant that is replaced.

    >>> number_of_steps("linear", Size(0.3), [1]), number_of_steps("rolling", Size(None, 1), [4, 2])
    (4, 4)
    """
    if strategy == LINEAR:
        return max(math.ceil(round(1 / size.of(count), 9)) for count in instances)
    if strategy == ROLLING:
        return max(math.ceil(count / size.batch(count)) for count in instances)
    return 2 if strategy == CANARY else 1


def check_rollout(rollout: Rollout, instances: Sequence[int]) -> None:
    """Whether a rollout fits the variants of its endpoint. instances: of each of them."""
    size = rollout.size or DEFAULT_SIZES[rollout.strategy]
    if size.share is None and rollout.strategy == CANARY and any(size.of(count) > 0.5 for count in instances):
        raise wrong(
            f"{size.instances} of {min(instances)} instances is more than half of a variant",
            "a canary is at most half of each variant: give a percentage, or more instances",
            at=("rollout", "size"),
        )
    steps = number_of_steps(rollout.strategy, size, instances)
    waits = rollout.wait * (steps - 1) + bake_of(rollout.strategy, rollout.bake)
    if rollout.timeout is not None and rollout.timeout <= waits:
        raise wrong(
            f"{rollout.timeout:g} s is not more than the waits of its {steps} steps, {waits:g} s together",
            f"give more than {waits:g}s, or wait less",
            at=("rollout", "timeout"),
        )


def bake_of(strategy: str, bake: float | None) -> float:
    default = 0.0 if strategy == ALL_AT_ONCE else DEFAULT_BAKE
    return default if bake is None else bake
