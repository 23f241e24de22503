"""Names of jobs as people would give them, from those that SageMaker's clients make up."""

from __future__ import annotations

import re

# What clients put behind a base name to make it unique: SDK 2 a date down to the millisecond (or, for short names, down
# to the minute), SDK 3 fourteen digits, samples the same as strftime gives it; `unique_name_from_base` adds seconds
# since 1970 and four letters.
_STAMP = re.compile(r"-(?:\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d(?:-\d{1,6})?|\d{14}|\d{6}-\d{4}|\d{10}-[0-9a-f]{4})$")


def job_name(training_job_name: str) -> str:
    """The name without the time stamp of a client.

    >>> job_name("churn-2026-11-29-12-30-05-575"), job_name("churn-20261129123713"), job_name("churn-eu-2")
    ('churn', 'churn', 'churn-eu-2')
    """
    return _STAMP.sub("", training_job_name)
