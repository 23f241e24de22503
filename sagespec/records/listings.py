"""Which objects a job was trained with, as the store keeps it.

<project>/jobs/<name>/<version>/inputs/<channel>.jsonl.gz    one object a line

What is kept here decides nothing: the manifest has the fingerprint of all of a channel. It tells people what differs.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

from sagespec.records.records import Records
from sagespec.state.addresses import Address
from sagespec.state.data import DataObject

MOST_OBJECTS = 200_000  # of a channel: listings of more are not kept


def write_listing(records: Records, job: Address, channel: str, objects: Sequence[DataObject]) -> None:
    if len(objects) > MOST_OBJECTS:
        return
    lines = (json.dumps([one.key, one.size, one.checksum], ensure_ascii=False) for one in objects)
    records.store.write(_key(records, job, channel), gzip.compress("\n".join(lines).encode(), mtime=0))


def listing(records: Records, job: Address, channel: str) -> tuple[DataObject, ...] | None:
    """None where none was kept, as by an earlier release, or it is damaged."""
    found = records.store.read(_key(records, job, channel))
    try:
        lines = gzip.decompress(found[0]).decode().splitlines() if found and found[0] else None
        return None if lines is None else tuple(DataObject(*json.loads(line)) for line in lines)
    except (OSError, EOFError, ValueError, TypeError):
        return None


def _key(records: Records, job: Address, channel: str) -> str:
    return records.job_key(job, f"inputs/{channel}.jsonl.gz")
