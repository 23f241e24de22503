"""What `gc` reads and deletes in a store: marks, files of jobs, and the time of the deed in the manifest.

<project>/gc.json    what is marked
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from sagespec.records.records import Records
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Manifest
from sagespec.state.sweeping import Marks
from sagespec.stores.protocol import Conflict, Entry

MODEL = "model.tar.gz"
_SWEPT = frozenset({MODEL, "output.tar.gz"})
_SWEPT_BELOW = ("checkpoints/", "model.unfit.")


@dataclass(frozen=True)
class JobFiles:
    """What a job has in the store besides its records. keys: in the store."""

    keys: tuple[str, ...] = ()
    bytes: int = 0


class Sweeping:
    """Of one project in one store."""

    def __init__(self, records: Records) -> None:
        self._records, self._store = records, records.store
        self._key = f"{records.project_name}/gc.json"

    def marks(self) -> tuple[Marks, str]:
        """What is marked, and the ETag to write more with. A damaged record counts as missing: the time of waiting
        begins again."""
        found = self._store.read(self._key)
        if found is None:
            return Marks(), ""
        with suppress(ValidationError):
            return Marks.model_validate_json(found[0]), found[1]
        return Marks(), found[1]

    def write_marks(self, marks: Marks, etag: str) -> None:
        """Conflict where somebody else has marked since."""
        data = (marks.model_dump_json(indent=2) + "\n").encode()
        if etag:
            self._store.write(self._key, data, if_match=etag)
        else:
            self._store.write(self._key, data, if_absent=True)

    def files(self, entries: Iterable[Entry]) -> Mapping[Address, JobFiles]:
        """By job, of all that the store has: what is deleted with its model."""
        prefix = f"{self._records.project_name}/jobs/"
        found: dict[Address, list[Entry]] = {}
        for entry in entries:
            name, _, rest = entry.key.removeprefix(prefix).partition("/")
            version, _, file = rest.partition("/")
            if entry.key.startswith(prefix) and version.isdecimal() and is_swept(file):
                found.setdefault(job_address(name, int(version)), []).append(entry)
        return {
            job: JobFiles(tuple(one.key for one in files), sum(one.size for one in files))
            for job, files in found.items()
        }

    def tombstone(self, manifest: Manifest, at: datetime | None) -> None:
        """Say in the manifest when its files were deleted, before that is done; None: that they are back. Conflict
        where the manifest is another one by now."""
        address = job_address(manifest.name, manifest.version)
        key = self._records.job_key(address, "manifest.json")
        found = self._store.read(key)  # first: what is written after it has another ETag
        present = self._records.manifests([address]).get(address)
        if present != manifest or found is None:
            raise Conflict(f"{address} was trained again meanwhile", fix="run gc again: it starts from what is there")
        data = (manifest.model_copy(update={"swept_at": at}).model_dump_json(indent=2) + "\n").encode()
        self._store.write(key, data, if_match=found[1])

    def delete(self, files: JobFiles) -> None:
        """What is gone already is fine."""
        for key in files.keys:
            self._store.delete(key)

    def model_key(self, job: Address) -> str:
        return self._records.job_key(job, MODEL)


def is_swept(file: str) -> bool:
    """Whether `gc` deletes this file of a job: never its manifest, logs, listings or attempts.

    >>> [is_swept(file) for file in ("model.tar.gz", "checkpoints/algo-1/a", "logs/algo-1.log", "manifest.json")]
    [True, True, False, False]
    """
    return file in _SWEPT or file.startswith(_SWEPT_BELOW)
