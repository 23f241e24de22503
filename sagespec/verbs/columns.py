"""Whether the columns that a spec names are in its data, as far as a glance at one file of this machine shows it.

Asked by `able` for jobs that are to be begun. Buckets and large files are left to the algorithm, which says the same.
"""

from __future__ import annotations

import math
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from sagespec.errors import Origin, Problem
from sagespec.inputs.headers import Glance, glance_at
from sagespec.resolve.content_types import name_of
from sagespec.state.desired import DesiredJob

SHOWN_NAMES = 20


def wrong_columns(job: DesiredJob, root: Path) -> Problem | None:
    """What to say where a CSV of this machine has no column that the spec names; None where that is not known."""
    train = next((channel for channel in job.channels if channel.name == "train"), None)
    if train is None or job.columns is None or "://" in train.source or train.is_manifest or train.recordio:
        return None
    if train.content_type and name_of(train.content_type) != "text/csv":
        return None
    glance = glance_at(root / train.source)
    if glance is None:
        return None
    place = f"channel train: {glance.file}"
    if glance.kind:
        kind, _, fix = glance.kind.partition(": ")
        return Problem(
            f"{place} is {kind}", about=str(job.address), fix=fix, where=_origin(job, "channels.train.source")
        )
    said = (
        ("target", (job.columns.target,) if job.columns.target else ()),
        ("drop", job.columns.drop),
        ("categorical", job.columns.categorical),
    )
    for field, name in ((field, name) for field, names in said for name in names if name not in glance.names):
        what = f"{place}: there is no column {name!r}, which {field} names"
        return Problem(what, str(job.address), fix=_fix(name, glance), where=_origin(job, f"columns.{field}"))
    return None


def _fix(name: str, glance: Glance) -> str:
    lower = {known.lower(): known for known in glance.names if known}
    if close := get_close_matches(name.lower(), lower, n=1):
        return f"did you mean {lower[close[0]]!r}?"
    if any(map(_is_number, glance.names)):  # then it may be a row, which is not for every log
        return "does the file have no header line? Put one in front"
    more = f" and {len(glance.names) - SHOWN_NAMES} more" if len(glance.names) > SHOWN_NAMES else ""
    return f"the columns are {', '.join(glance.names[:SHOWN_NAMES])}{more}"


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        return math.isfinite(float(text))
    return False


def _origin(job: DesiredJob, field: str) -> Origin | None:
    return job.field_origins.get(field, job.origin)
