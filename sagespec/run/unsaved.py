"""What a job that left no model has left elsewhere: most often its script saves beside itself, not in SM_MODEL_DIR."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sagespec.contract import CODE_FOLDER
from sagespec.errors import WorldError
from sagespec.records.members import Joined
from sagespec.run.jobs import JobRun
from sagespec.sources.files import files_of, is_shipped

MOST_NAMED = 5
_PUT_SECONDS = 1.0  # an archive's files have the second in which they were put there, or their own, earlier time


def no_model_note(run: JobRun, since: float) -> str:
    """since: when the program was started, seconds since 1970."""
    said = "left no model: nothing in SM_MODEL_DIR (/opt/ml/model)"
    names = sorted(_written_since(run, since)) if run.job.code else []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{said}; files lie beside the script: {', '.join(names[:MOST_NAMED])}{more}" if names else said


def _written_since(run: JobRun, since: float) -> Iterator[str]:
    """Files of the first host's code that were not put there."""
    known = _names_in(run.jobs.root / run.job.code.source) if run.job.code else None
    chunks = Joined(run.jobs.runtime.get(run.launches[0].name, CODE_FOLDER))
    with tarfile.open(fileobj=io.BufferedReader(chunks), mode="r|") as members:
        for member in members:
            name = member.name.removeprefix("./")
            is_new = name not in known if known is not None else member.mtime > since + _PUT_SECONDS
            if member.isfile() and is_new and is_shipped(name):
                yield name


def _names_in(source: Path) -> set[str] | None:
    """What a local source has brought; None for an archive, or a source that is gone."""
    with suppress(OSError, WorldError):
        if source.is_dir():
            return set(files_of(source))
        if source.is_file() and not source.name.endswith(".tar.gz"):
            return {source.name}
    return None
