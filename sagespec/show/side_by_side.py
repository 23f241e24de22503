"""The metrics of a job's versions side by side, and the hyperparameters in which they differ, below the jobs of
`sagespec status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sagespec.show.screen import Screen

if TYPE_CHECKING:
    from sagespec.verbs.states import JobState

MOST_VERSIONS = 6  # the newest
WIDTH = 80  # if no width is given
LONGEST = 10  # letters of a hyperparameter


def write_versions(screen: Screen, jobs: Sequence[JobState]) -> None:
    """A table for each name of which several versions have a metric in common: a row a metric or a hyperparameter, a
    column a version."""
    by_name: dict[str, list[JobState]] = {}
    for job in sorted(jobs, key=lambda job: job.address):
        if job.metrics:
            by_name.setdefault(job.address.name, []).append(job)
    for name, versions in by_name.items():
        common = _in_common([job.metrics or {} for job in versions])
        if not common:
            continue
        room = (screen.width or WIDTH) - max(map(len, [*common, *_that_differ(versions), name]))
        shown = versions[-max(2, min(MOST_VERSIONS, room // 12)) :]
        rows = [[metric, *(_value(job, metric) for job in shown)] for metric in common]
        rows += [
            [parameter, *(_cut(job.hyperparameters.get(parameter, "-")) for job in shown)]
            for parameter in _that_differ(shown)
        ]
        screen.line()
        screen.table(rows, head=[name, *(f"@{job.address.version}" for job in shown)])
        if older := len(versions) - len(shown):
            screen.line((f"and {older} older: --output json has them all", "dim"))


def _in_common(found: Sequence[Mapping[str, float]]) -> list[str]:
    """The metrics that more than one has."""
    names = dict.fromkeys(name for metrics in found for name in metrics)
    return [name for name in names if sum(name in metrics for metrics in found) > 1]


def _that_differ(versions: Sequence[JobState]) -> list[str]:
    """The hyperparameters that are not the same in all."""
    names = sorted({name for job in versions for name in job.hyperparameters})
    return [name for name in names if len({job.hyperparameters.get(name) for job in versions}) > 1]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _value(job: JobState, metric: str) -> str:
    value = (job.metrics or {}).get(metric)
    return "-" if value is None else f"{value:.6g}"
