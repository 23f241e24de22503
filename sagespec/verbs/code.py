"""What to say of the code of jobs that are not trained yet: `validate` and `plan` note it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sagespec.sources.ignored import IGNORE_FILE
from sagespec.sources.requirements import REQUIREMENTS, left_out
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired


def notes_on_code(desired: Desired, done: Collection[Address], root: Path) -> tuple[str, ...]:
    """A note for each folder whose requirements do not go along, however many jobs run its code."""
    jobs = {job.code.source: job for job in reversed(desired.jobs) if job.code and job.address not in done}
    folders = ((job, source) for source, job in sorted(jobs.items()) if not source.startswith("s3://"))
    return tuple(
        f"{job.address}: {source}/{IGNORE_FILE} leaves out {path}, {_of_what(path)}"
        for job, source in folders
        if (root / source).is_dir()
        for path in left_out(root / source)
    )


def _of_what(path: str) -> str:
    if path == REQUIREMENTS:
        return f"whose packages will not be installed; add a line to keep it: !{path}"
    return f"which {REQUIREMENTS} needs; change the line that names it"
