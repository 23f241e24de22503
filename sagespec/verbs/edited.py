"""Which data of trained jobs was edited since. A job's version says nothing of its data, so this is only told.

Called by `plan` and `status`, and by no pass. Looks at this machine's files alone, and reads few of them: never
gigabytes, and never a bucket.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sagespec.errors import SagespecError
from sagespec.inputs.channels import Contents, contents_of, input_of
from sagespec.state.desired import Desired, DesiredChannel, DesiredJob
from sagespec.state.manifest import Input, JobStatus, Manifest
from sagespec.state.observed import Observed

MOST_BYTES_READ = 8 * 2**20  # of a channel
MOST_FILES_LISTED = 10_000


class DataNow:
    """What channels have at their places now: looked at once, however many jobs were trained with it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[DesiredChannel, Contents | None] = {}
        self._newest: dict[DesiredChannel, float] = {}
        self._fingerprints: dict[DesiredChannel, str] = {}

    def edited(self, job: DesiredJob, observed: Observed) -> str:
        """What to say of a trained job with other data at its place now; '' if there is none, or none is known."""
        manifest = observed.manifests.get(job.address)
        if manifest is None or manifest.status is not JobStatus.COMPLETED:
            return ""
        names = [c.name for c in job.channels if c.name in manifest.inputs and self._is_edited(c, manifest)]
        channels = f"channel{'s' if len(names) > 1 else ''} {', '.join(names)}"
        return f"the data of {channels} changed after it was trained: a new version trains with it" if names else ""

    def _is_edited(self, channel: DesiredChannel, manifest: Manifest) -> bool:
        """By number and size; by content where it is small, and a file is newer than the training."""
        before: Input = manifest.inputs[channel.name]
        if channel.source.startswith("s3://") or before.objects > MOST_FILES_LISTED:
            return False
        try:
            contents = self._contents(channel)
            if contents is None or contents.root is None:
                return False
            if (len(contents.entries), contents.bytes) != (before.objects, before.bytes):
                return True
            return (
                self._newest_of(channel, contents) > manifest.started_at.timestamp()
                and contents.bytes <= MOST_BYTES_READ
                and self._fingerprint(channel, contents) != before.fingerprint
            )
        except OSError:  # gone, or not to be read: the model is in the store
            return False

    def _contents(self, channel: DesiredChannel) -> Contents | None:
        if channel not in self._found:
            self._found[channel] = None
            with suppress(SagespecError, OSError):
                self._found[channel] = contents_of(channel, self._root)
        return self._found[channel]

    def _newest_of(self, channel: DesiredChannel, contents: Contents) -> float:
        if channel not in self._newest:
            self._newest[channel] = max(contents.file(entry).stat().st_mtime for entry in contents.entries)
        return self._newest[channel]

    def _fingerprint(self, channel: DesiredChannel, contents: Contents) -> str:
        if channel not in self._fingerprints:
            self._fingerprints[channel] = input_of(channel, contents).fingerprint
        return self._fingerprints[channel]


def notes_on_data(desired: Desired, observed: Observed, root: Path) -> tuple[str, ...]:
    now = DataNow(root)
    said = ((job.address, now.edited(job, observed)) for job in desired.jobs)
    return tuple(f"{address}: {text}" for address, text in said if text)
