"""Values as pages show them: the filters and tests of templates. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from sagespec.ongoing import Rolling
from sagespec.show.figures import (
    commit_text,
    counted,
    metrics_text,
    milliseconds_text,
    percent_text,
    seconds_text,
    size_text,
    until_text,
)
from sagespec.show.gc import next_step, why_text
from sagespec.show.rollouts import errors_text
from sagespec.show.status import ENDPOINT_TONES, JOB_TONES
from sagespec.state.addresses import Address
from sagespec.verbs.states import LastMinute

TONES = {
    **JOB_TONES,
    **ENDPOINT_TONES,
    **dict.fromkeys(("live", "completed", "done", "finished", "applied"), "good"),
    **dict.fromkeys(("failed", "failing", "rolled_back", "skipped", "late", "wrong", "held"), "bad"),
    **dict.fromkeys(("swept", "rejected"), "bad"),
    **dict.fromkeys(("started", "planned", "working", "applying", "approval"), "change"),
}
SHAPES = {"good": "●", "change": "◐", "bad": "▲", "": "○"}  # a tone has a shape too, never a colour alone


def tone(word: str) -> str:
    return TONES.get(word, "")


def shape(word: str) -> str:
    return SHAPES[tone(word)]


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, so coarse that a page stays the same for a while.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 2, tzinfo=UTC)
    >>> ago(datetime(2026, 1, 1, 23, 57, tzinfo=UTC), now), ago(datetime(2025, 12, 1, tzinfo=UTC), now)
    ('3 min ago', '32 d ago')
    """
    if at is None:
        return "-"
    seconds = (now - at).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def number(value: float | None) -> str:
    """
    >>> number(0.94031234), number(1234567), number(None)
    ('0.940312', '1,234,567', '-')
    """
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def per_second(minute: LastMinute) -> float:
    """Requests.

    >>> per_second(LastMinute(seconds=30.0, requests=15, errors=0, p50_ms=None, p99_ms=None))
    0.5
    """
    return minute.requests / minute.seconds if minute.seconds else 0.0


def rate(value: float | None) -> str:
    """
    >>> rate(7.81177), rate(0.0), rate(None), rate(1234.5)
    ('7.81', '0', '-', '1,234')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def left(rolling: Rolling) -> str:
    """Of a rollout's step, so coarse that a page stays the same for a while."""
    if rolling.ends_at is None:
        return "-"
    seconds = (rolling.ends_at - datetime.now(UTC)).total_seconds()
    if seconds <= 0:
        return "now, or once there are requests"
    return "in less than a minute" if seconds < 60 else f"in {int(seconds // 60) + 1} min"


def job_path(address: Address | str) -> str:
    """
    >>> job_path("job/churn@3")
    '/jobs/churn@3'
    """
    return f"/jobs/{str(address).partition('/')[2]}"


def path_of(about: str) -> str:
    """The page of whatever an event or a problem is about; '' where there is none.

    >>> path_of("endpoint/churn/candidate#0"), path_of("job/churn@3"), path_of("churn.yaml"), path_of("source")
    ('/endpoints/churn', '/jobs/churn@3', '', '/source')
    >>> path_of("notebook/first"), path_of("gateway"), path_of("model/churn")
    ('', '', '/models?q=churn')
    """
    if about == "source":
        return "/source"
    try:
        address = Address.parse(about)
    except ValueError:
        return ""
    match address.kind:
        case "job":
            return job_path(address.whole)
        case "endpoint":
            return f"/endpoints/{address.name}"
        case "model":
            return f"/models?q={address.name}"
    return ""


FILTERS = {
    "ago": ago,
    "bytes": size_text,
    "commit": commit_text,
    "counted": counted,
    "errors_of": errors_text,
    "job_path": job_path,
    "left": left,
    "metrics": metrics_text,
    "ms": milliseconds_text,
    "next_step": next_step,
    "number": number,
    "per_second": per_second,
    "rate": rate,
    "path_of": path_of,
    "percent": percent_text,
    "seconds": seconds_text,
    "shape": shape,
    "tone": tone,
    "until": until_text,
    "why_held": why_text,
}
