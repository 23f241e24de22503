"""Which data was edited since a job ended: a failed one runs again with it, of a trained one it is only told, as its
version says nothing of its data.

Each snapshot looks at the data of failed jobs, `plan` and `status` also at that of trained ones (`stale`). Little is
read for a trained one: never gigabytes, and a bucket only where somebody has asked for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sagespec.errors import SagespecError
from sagespec.inputs.channels import Contents, contents_of, input_of
from sagespec.parts import Parts
from sagespec.runtimes.protocol import Runtime
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredChannel, DesiredJob
from sagespec.state.hashes import same_hash
from sagespec.state.manifest import JobStatus, Manifest
from sagespec.state.observed import EDITED, Observed
from sagespec.state.programs import Image
from sagespec.stores.protocol import Entry
from sagespec.stores.waits import Waits

MOST_BYTES_READ = 8 * 2**20  # of a channel of a trained job
MOST_BYTES_READ_FAILED = 256 * 2**20  # of one of a failed job: in each look, under the lock
MOST_FILES_LISTED = 10_000

Fingerprints = dict[DesiredChannel, tuple[tuple[Entry, ...], str]]  # of what was read before, and is as it was


class DataNow:
    """What channels have at their places now, and images by their tags: looked at once, however many jobs were trained
    with it.

    known: what earlier looks have read; what this one reads is added. lists: data of trained jobs in S3 are looked at,
    too, which means that all of them are listed. unseen: sources that could not be looked at, and why.
    """

    def __init__(
        self, root: Path, known: Fingerprints | None = None, waits: Waits | None = None, *, lists: bool = False
    ) -> None:
        self._root, self._waits, self._lists = root, waits or Waits(lambda _: None), lists
        self.unseen: dict[str, str] = {}
        self._found: dict[DesiredChannel, Contents | None] = {}
        self._newest: dict[DesiredChannel, tuple[float, float]] = {}
        self._images: dict[Image, frozenset[str]] = {}
        self._known = {} if known is None else known

    def other_than(self, job: DesiredJob, before: Manifest) -> list[str]:
        """The job's channels that have other data now than those of the manifest had."""
        seen = [channel for channel in job.channels if self._lists or not channel.source.startswith("s3://")]
        return [channel.name for channel in seen if self._edit_of(channel, before, MOST_BYTES_READ)]

    def digests_of(self, image: Image, runtime: Runtime) -> frozenset[str]:
        """All that the engine knows the image by."""
        if image not in self._images:
            self._images[image] = runtime.digests_of(image)
        return self._images[image]

    def edits(self, job: DesiredJob, observed: Observed) -> Mapping[str, str]:
        """The fingerprints, by channel, of a failed job's data that is another now; EDITED of much with newer files."""
        manifest = observed.manifests.get(job.address)
        if manifest is None or manifest.status is not JobStatus.FAILED or not same_hash(job.key, manifest.key):
            return {}
        found = {c.name: self._edit_of(c, manifest, MOST_BYTES_READ_FAILED, beyond=EDITED) for c in job.channels}
        return {name: fingerprint for name, fingerprint in found.items() if fingerprint}

    def _edit_of(self, channel: DesiredChannel, manifest: Manifest, most_bytes: int, *, beyond: str = "") -> str:
        """The fingerprint of the channel's data if it is not that of the manifest; `beyond` if it has newer files of
        more bytes than are read."""
        before = manifest.inputs.get(channel.name)
        if before is None or (before.objects > MOST_FILES_LISTED and not self._lists):
            return ""
        try:
            contents = self._contents(channel)
            if contents is None:
                return ""
            is_same_size = (len(contents.entries), contents.bytes) == (before.objects, before.bytes)
            if not contents.has_etags:
                written, put = self._newest_of(channel, contents)
                since = manifest.started_at.timestamp()
                if is_same_size and max(written, put) <= since:
                    return ""
                if contents.bytes > most_bytes:
                    return EDITED if not is_same_size else beyond if written > since else ""
            fingerprint = self._fingerprint(channel, contents)
        except OSError:  # gone, or not to be read: the model is in the store
            return ""
        return fingerprint if fingerprint != before.fingerprint else ""

    def _contents(self, channel: DesiredChannel) -> Contents | None:
        if channel not in self._found:
            self._found[channel] = None
            try:
                with self._waits.on(channel.source):
                    self._found[channel] = contents_of(channel, self._root)
            except SagespecError as error:
                self.unseen[channel.source] = error.problems[0].what
            except OSError as error:
                self.unseen[channel.source] = str(error)
        return self._found[channel]

    def _newest_of(self, channel: DesiredChannel, contents: Contents) -> tuple[float, float]:
        """When one of its files was last written, and when one was last put there, or linked to, as views do."""
        if channel not in self._newest:
            found = [contents.file(entry).stat() for entry in contents.entries]
            self._newest[channel] = max(s.st_mtime for s in found), max(s.st_ctime for s in found)
        return self._newest[channel]

    def _fingerprint(self, channel: DesiredChannel, contents: Contents) -> str:
        entries, fingerprint = self._known.get(channel, ((), ""))
        if entries != contents.entries:
            fingerprint = input_of(channel, contents).fingerprint
            self._known[channel] = contents.entries, fingerprint
        return fingerprint


def edited_inputs(parts: Parts, desired: Desired, observed: Observed) -> Mapping[Address, Mapping[str, str]]:
    """Of the failed jobs that nobody follows."""
    now = DataNow(parts.root, parts.fingerprints, parts.waits)
    jobs = [job for job in desired.jobs if job.address not in observed.followers]
    found = {job.address: now.edits(job, observed) for job in jobs}
    return {address: edits for address, edits in found.items() if edits}
