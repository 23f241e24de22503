"""What a built-in algorithm says that it has read, and whether that is what it was given.

A host writes it (images/toolkit/read_note.py), so it is read as anything that a container leaves: no more than so much,
and by its types.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from sagespec.run.jobs import JobRun
from sagespec.state.faults import Fault, FaultKind
from sagespec.state.manifest import ChannelRead, Input
from sagespec.state.programs import Builtin

READ_FILE = "output/read.json"
MOST_BYTES = 256 * 1024
MOST_CHANNELS = 20
_READS = TypeAdapter(dict[str, ChannelRead])


def reads_of(run: JobRun) -> dict[str, ChannelRead]:
    """By channel; {} where nothing was written, or not by a program of ours."""
    if not isinstance(run.job.program, Builtin):
        return {}
    for launch in run.launches:
        container = run.containers.by_alias[launch.alias]
        if container is None or container.is_lost:
            continue
        content = run.jobs.runtime.read(launch.name, READ_FILE, MOST_BYTES + 1)
        if content is not None:
            return read_note(content)
    return {}


def read_note(content: bytes) -> dict[str, ChannelRead]:
    """{} for what is too long, or no such note."""
    if len(content) > MOST_BYTES:
        return {}
    try:
        reads = _READS.validate_json(content)
    except ValidationError:
        return {}
    return reads if len(reads) <= MOST_CHANNELS else {}


def shortfall(reads: Mapping[str, ChannelRead], inputs: Mapping[str, Input]) -> Fault | None:
    """Why the model did not learn from the data that its manifest names; None if it did, as far as is known."""
    for name, given in inputs.items():
        read = reads.get(name)
        if read is None or read.files is None or given.data_files is None:
            continue
        if (read.files, read.bytes) != (given.data_files, given.data_bytes):
            asked = f"{given.data_files} files of {given.data_bytes} bytes"
            return Fault(
                FaultKind.INTERNAL,
                f"channel {name}: {asked} were to be read, and {read.files} of {read.bytes} bytes were; "
                "the data changed while the job began, or has not all arrived",
            )
    return None
