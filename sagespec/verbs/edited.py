"""Which data of trained jobs was edited since. A job's version says nothing of its data, so this is only told.

Called by `plan` and `status`, and by no pass. Looks at this machine's files alone, and reads few of them: never
gigabytes, and never a bucket.
"""

from __future__ import annotations

from pathlib import Path

from sagespec.errors import SagespecError
from sagespec.inputs.channels import contents_of, input_of
from sagespec.state.desired import Desired, DesiredChannel, DesiredJob
from sagespec.state.manifest import Input, JobStatus, Manifest
from sagespec.state.observed import Observed

MOST_BYTES_READ = 8 * 2**20  # of a channel
MOST_FILES_LISTED = 10_000


def edited_data(job: DesiredJob, observed: Observed, root: Path) -> str:
    """What to say of a trained job with other data at its place now; '' if there is none, or none is known."""
    manifest = observed.manifests.get(job.address)
    if manifest is None or manifest.status is not JobStatus.COMPLETED:
        return ""
    names = [c.name for c in job.channels if c.name in manifest.inputs and _is_edited(c, manifest, root)]
    channels = f"channel{'s' if len(names) > 1 else ''} {', '.join(names)}"
    return f"the data of {channels} changed after it was trained: a new version trains with it" if names else ""


def notes_on_data(desired: Desired, observed: Observed, root: Path) -> tuple[str, ...]:
    said = ((job.address, edited_data(job, observed, root)) for job in desired.jobs)
    return tuple(f"{address}: {text}" for address, text in said if text)


def _is_edited(channel: DesiredChannel, manifest: Manifest, root: Path) -> bool:
    """By number and size; by content where it is small, and a file is newer than the training."""
    before: Input = manifest.inputs[channel.name]
    if channel.source.startswith("s3://") or before.objects > MOST_FILES_LISTED:
        return False
    try:
        contents = contents_of(channel, root)
        if contents.root is None:
            return False
        if (len(contents.entries), contents.bytes) != (before.objects, before.bytes):
            return True
        since = manifest.started_at.timestamp()
        is_newer = any(contents.file(entry).stat().st_mtime > since for entry in contents.entries)
        return (
            is_newer
            and contents.bytes <= MOST_BYTES_READ
            and input_of(channel, contents).fingerprint != before.fingerprint
        )
    except (SagespecError, OSError):  # gone, or not to be read: the model is in the store
        return False
