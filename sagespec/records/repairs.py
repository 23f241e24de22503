"""What was repaired, as the store keeps it: who changed something cannot be known, but what was done about it is.

<project>/repairs/<day>/<time>-<id>.json    of one pass
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from secrets import token_hex

from pydantic import ValidationError

from sagespec.state.repairs import Repaired, RepairsRecord
from sagespec.stores.protocol import Store


def write_repairs(store: Store, project_name: str, repairs: Sequence[Repaired], at: datetime) -> None:
    key = f"{_folder(project_name, at)}{at:%H%M%S}-{token_hex(4)}.json"
    store.write(key, (RepairsRecord(repairs=tuple(repairs)).model_dump_json(indent=2) + "\n").encode())


def repairs_lately(store: Store, project_name: str, now: datetime, most: int) -> tuple[Repaired, ...]:
    """Of today and the day before, the newest last. Damaged records count as missing."""
    found: list[Repaired] = []
    for day in (now, now - timedelta(days=1)):
        keys = sorted(entry.key for entry in store.entries(_folder(project_name, day)))[-most:]
        found += [one for data in store.read_many(keys).values() for one in _parsed(data).repairs]
    return tuple(sorted(found, key=lambda one: one.at)[-most:])


def _folder(project_name: str, day: datetime) -> str:
    return f"{project_name}/repairs/{day:%Y-%m-%d}/"


def _parsed(data: bytes) -> RepairsRecord:
    try:
        return RepairsRecord.model_validate_json(data)
    except ValidationError:
        return RepairsRecord()
