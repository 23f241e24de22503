"""A user's own files whose columns have names, and how the toolkit is asked to read them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
from pyarrow import parquet
from toolkit.columns import Wanted
from toolkit.data import InputFormat, Table, load_tables
from toolkit.hosts import Hosts
from toolkit.training import Channel, Job

Y = Wanted("y")
SMALL = "a,b,y\n1,2,0\n3,4,1\n"


def load(
    folder: Path, files: Mapping[str, str | bytes], wanted: Wanted, **input_format: Any
) -> tuple[dict[str, Table], Any]:
    """The tables of files named <channel>/<file>, and the mapping that is laid beside the model."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    names = list(dict.fromkeys(name.partition("/")[0] for name in files))
    job = Job(
        hyperparameters=None,
        channels={name: Channel(name, folder / name, "") for name in names},
        hosts=Hosts(("algo-1",), "algo-1"),
        model_folder=folder,
        output_folder=folder,
        columns=wanted,
    )  # type: ignore[type-var]
    tables = load_tables(job, names, InputFormat(**input_format))
    return tables, json.loads(job.beside_model[".columns.json"])


def as_zip(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return stream.getvalue()


def with_index(**columns: Any) -> bytes:
    frame = pandas.DataFrame(columns, index=pandas.Index(["u"] * len(columns["y"]), name="id"))
    return bytes(frame.to_parquet())


def as_parquet(**columns: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


COLUMNS = {"target": "defaulted", "drop": ["loan_id"], "categorical": ["purpose", "state"]}
CHURN = {"num_round": 4, "objective": "binary:logistic", "max_depth": 3}


def loans(count: int, first: int = 0, *, classes: tuple[str, str] = ("0", "1")) -> list[str]:
    """Lines as a person has them: an id, texts, gaps, the label last."""
    rng = np.random.default_rng(first)
    purposes = rng.choice(["car", "house", "other, small"], count)
    states = rng.choice(["CA", "NY", "TX", ""], count)
    incomes, amounts = np.abs(rng.normal(50, 15, count)).round(1), rng.integers(1, 40, count)
    bad = (amounts / incomes + 0.3 * (purposes == "car") + rng.normal(0, 0.2, count) > 0.6).astype(int)
    shown = [f"{income}" if row % 9 else "" for row, income in enumerate(incomes)]
    facts = zip(purposes, states, shown, amounts, bad, strict=True)
    return [f'LN-{first + n},"{p}",{s},{i},{a},{classes[b]}' for n, (p, s, i, a, b) in enumerate(facts)]


def as_csv(lines: list[str]) -> str:
    return "\n".join(["loan_id,purpose,state,income,amount,defaulted", *lines, ""])


def with_columns(tree: Any, columns: Any = COLUMNS) -> Any:
    tree.write_config("columnsconfig", columns)
    return tree
