"""Follows a job's containers to their end: logs, metrics, stop requests, deadlines."""

from __future__ import annotations

from dataclasses import dataclass, field

from sagespec.run.metrics import FoundMetrics

LOOK_EVERY_SECONDS = 0.1


REASON_LOG_LINES = 5


LOG_TRIES = 8  # in a row, when the engine breaks off a log


LOG_PAUSE_SECONDS = 0.5  # before the second, and twice as long before each further one


LOG_END_SECONDS = 120.0  # without a line, after its container has ended; longer than all those pauses


@dataclass
class Followed:
    """What the log of one host gave so far."""

    metrics: FoundMetrics
    last_lines: list[str] = field(default_factory=list)
    read_at: float = 0.0  # the last of them, by the monotonic clock
