"""What a job that left no model has left elsewhere: most often its script saves beside itself, not in SM_MODEL_DIR."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

from sagespec.contract import CODE_FOLDER
from sagespec.records.members import Joined
from sagespec.run.jobs import JobRun

MOST_NAMED = 5


def no_model_note(run: JobRun, since: float) -> str:
    """since: when the program was started, seconds since 1970."""
    said = "left no model: nothing in SM_MODEL_DIR (/opt/ml/model)"
    names = sorted(_written_since(run, since)) if run.job.code else []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{said}; files lie beside the script: {', '.join(names[:MOST_NAMED])}{more}" if names else said


def _written_since(run: JobRun, since: float) -> Iterator[str]:
    """Files of the first host's code that the script itself has written there."""
    chunks = Joined(run.jobs.runtime.get(run.launches[0].name, CODE_FOLDER))
    with tarfile.open(fileobj=io.BufferedReader(chunks), mode="r|") as members:
        for member in members:
            if member.isfile() and member.mtime >= int(since) and "__pycache__" not in member.name:
                yield member.name.removeprefix("./")
