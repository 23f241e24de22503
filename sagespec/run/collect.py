"""Collects what a job left: artifacts packed and uploaded, the manifest made."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from sagespec.events import Event, EventKind, Report
from sagespec.state.desired import DesiredJob
from sagespec.state.manifest import Artifact

Upload = Callable[[str, Path], Artifact]  # key below the job's folder, file


def counting(report: Report, job: DesiredJob, text: str, total: int) -> Callable[[int], None]:
    """A function that is called with each further number of bytes, and reports how far that is of `total`."""
    moved = 0

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        about = str(job.address)
        report(Event(EventKind.PROGRESS, about, text, action="run-job", done=moved, total=total, unit="bytes"))

    return progress


def has_members(archive: Path) -> bool:
    with tarfile.open(archive) as tar:
        return tar.next() is not None
