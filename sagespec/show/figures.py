"""Numbers and times as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from sagespec.display import minute_text

if TYPE_CHECKING:
    from sagespec.state.manifest import Git


def counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def seconds_text(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size_text(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def percent_text(share: float) -> str:
    return f"{share * 100:.3g} %"


def milliseconds_text(value: float | None) -> str:
    if value == 0:
        return "< 1 ms"
    return "-" if value is None else f"{value:.3g} ms" if value < 1000 else seconds_text(value / 1000)


def when_text(at: datetime | None) -> str:
    return minute_text(at) if at else "-"


def until_text(at: datetime, now: datetime) -> str:
    """How long until then, rounded up: so coarse that a page stays the same for a while.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> until_text(datetime(2026, 1, 7, 1, tzinfo=UTC), now), until_text(datetime(2026, 1, 1, 2, tzinfo=UTC), now)
    ('in 7 d', 'in 2 h')
    """
    seconds = (at - now).total_seconds()
    if seconds <= 0:
        return "now"
    size, unit = next(((s, u) for s, u in ((86400, "d"), (3600, "h")) if seconds >= s), (60, "min"))
    return f"in {math.ceil(seconds / size)} {unit}"


def commit_text(git: Git | None) -> str:
    return "-" if git is None else git.commit[:7] + ("+" if git.dirty else "")


def metrics_text(metrics: Mapping[str, float], most: int = 3) -> str:
    """The first few by name and value, and how many more there are."""
    shown = [f"{name} {value:.6g}" for name, value in list(metrics.items())[:most]]
    return ", ".join([*shown, *([f"… {len(metrics) - most} more"] if len(metrics) > most else [])])
