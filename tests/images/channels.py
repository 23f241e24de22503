"""Channels of one host, loaded as a training program loads them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Declaration
from toolkit.training import Channel, Job

Files = Mapping[str, bytes | str]


def tables_of(
    folder: Path, content_type: str = "", input_format: InputFormat | None = None, **channels: Files
) -> dict[str, Table]:
    """What the channels hold, given as files by name."""
    for channel, files in channels.items():
        for name, content in files.items():
            path = folder / channel / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    named = {name: Channel(name, folder / name, content_type) for name in channels}
    (folder / "output").mkdir(parents=True, exist_ok=True)
    job = Job(Declaration(), named, Hosts(("algo-1",), "algo-1"), folder, folder / "output/data")
    return load_tables(job, tuple(channels), input_format or InputFormat())


def refusal(folder: Path, content_type: str = "", input_format: InputFormat | None = None, **channels: Files) -> str:
    with pytest.raises(ClientError) as refused:
        tables_of(folder, content_type, input_format, **channels)
    return str(refused.value)


def as_parquet(columns: Mapping[str, Any], *, index: tuple[str, ...] | None = None) -> bytes:
    """index: the columns in which pandas says that it keeps its index."""
    table = pyarrow.table(dict(columns))
    if index is not None:
        table = table.replace_schema_metadata({"pandas": json.dumps({"index_columns": list(index)})})
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()
