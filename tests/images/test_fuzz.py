"""Mutated bodies and files against every parser: refused in words, soon, and without taking the memory.

FUZZ_BODIES=100000 tries that many of each kind instead of a few hundred.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import scipy.sparse
import xgboost
from pyarrow import parquet
from toolkit.codecs import CodecError, decode
from toolkit.data import InputFormat, load_tables
from toolkit.errors import ClientError
from toolkit.finite import BEYOND_FLOAT32
from toolkit.formats import Prediction
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Declaration
from toolkit.model import Model, Request
from toolkit.serving import Invocations
from toolkit.training import Channel, Job

from tests.images.record import framed, record_of

COUNT = int(os.environ.get("FUZZ_BODIES", "300"))
SEED = 7
LONGEST_SECONDS = 20
MOST_MEBIBYTES = 512
ROWS = np.array([[0.5, 1.25, -3.0], [7.0, 0.0, 1e-3], [2.0, 3.0, 4.0]])

CSV, JSON, LIBSVM = "text/csv", "application/json", "text/libsvm"
LINES, RECORDIO, PARQUET = "application/jsonlines", "application/x-recordio-protobuf", "application/x-parquet"
NPY, NPZ = "application/x-npy", "application/x-npz"


def saved(save: Callable[..., None], value: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, value)
    return stream.getvalue()


INSTANCES: list[dict[str, Any]] = [
    {"features": [0.5, 1.25, -3.0]},
    {"data": {"features": {"values": [7, 0, 1e-3]}}},
    {"data": {"features": {"keys": [0, 2], "shape": [3], "values": [2, 4]}}},
]
BODIES = {
    CSV: [b"0.5,1.25,-3.0\n7,0,1e-3\n", b"1;2;3\n4;;6", b'"a",2,nan\n1,2,3\n'],
    JSON: [
        json.dumps(ROWS.tolist()).encode(),
        json.dumps({"instances": INSTANCES}).encode(),
        json.dumps({"inputs": {"a": [1, 2], "b": [3, 4]}}).encode(),
        json.dumps({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}}).encode(),
        json.dumps({"dataframe_records": [{"a": 1}, {"a": 2, "b": None}]}).encode(),
    ],
    LIBSVM: [b"1 0:0.5 1:1.25 2:-3 # said\n0 0:7\n", b"0:1 2:3\n1:2"],
    LINES: [b"\n".join(json.dumps(instance | {"label": 1}).encode() for instance in INSTANCES[:2])],
    RECORDIO: [
        framed(*(record_of(row, [1.0]) for row in ROWS)),
        framed(record_of([1.0, 2.0], [1.0], keys=[0, 2], shape=[3])),
    ],
    NPY: [saved(np.save, ROWS), saved(np.save, np.arange(6, dtype="<i2").reshape(2, 3))],
    NPZ: [saved(scipy.sparse.save_npz, kind(ROWS)) for kind in (scipy.sparse.csr_matrix, scipy.sparse.coo_matrix)],
    PARQUET: [
        saved(
            lambda sink, table: parquet.write_table(table, sink),
            pyarrow.table(dict(zip("abc", ROWS.T, strict=True))),
        )
    ],
}
# What only files hold: quotes, weights, and what is packed.
FILES = {
    **BODIES,
    CSV: [*BODIES[CSV], b'1,"0.5","1.25"\n0,"7",\n', gzip.compress(BODIES[CSV][0], mtime=0)],
    LIBSVM: [*BODIES[LIBSVM], b"1:2 0:0.5\n0:1 0:7\n", gzip.compress(BODIES[LIBSVM][0], mtime=0)],
}
PIECES = [b"", b"\n", b",", b"[", b"{", b'"', b":", b"\x00", b"\xff", b"9" * 19, b"-1", b"1e999", b"null", b"\x80" * 9]
PIECES += [b"inf", b"nan", b"1e39", b"_", b";", b"\t", b"\r", b'"",', b"NaN", b"0x1p9", b"\x00\x00\x80\x7f"]


def mutated(random_: random.Random, body: bytes) -> bytes:
    """A few bytes changed, cut out, doubled, or put in."""
    data = bytearray(body)
    for _ in range(random_.randint(1, 4)):
        start = random_.randrange(len(data) + 1)
        end = min(len(data), start + random_.choice((0, 1, 1, 2, 4, 16, 64)))
        match random_.randrange(4):
            case 0 if start < len(data):
                data[start] = random_.randrange(256)
            case 1:
                data[start:end] = b""
            case 2:
                data[start:start] = data[start:end] * random_.choice((1, 2, 50))
            case _:
                data[start:end] = random_.choice(PIECES)
    return bytes(data)


Parse = Callable[[bytes], int]  # the status that a body gets


def of_handlers(_folder: Path, content_type: str) -> Parse:
    return lambda body: status_of(lambda: decode(body, content_type))


def of_xgboosts_handlers(folder: Path, content_type: str) -> Parse:
    handlers = imported("xgboost", "xgboost_handlers")
    booster = handlers.model_fn(str(booster_in(folder)))
    booster.set_param({"nthread": 1})  # several threads wait for each other where others want the processors, too
    return lambda body: status_of(lambda: handlers.predict_fn(handlers.input_fn(body, content_type), booster))


def status_of(step: Callable[[], Any]) -> int:
    try:
        step()
    except CodecError as error:
        return error.status_code
    return 200


def of_servers(folder: Path, content_type: str) -> Parse:
    model = imported("xgboost", "xgboost_model").XGBoostModel(booster_in(folder))
    invoke = Invocations(model, default_accept=JSON, payload_bytes=25 * 2**20)
    return lambda body: invoke({"CONTENT_TYPE": content_type, "wsgi.input": io.BytesIO(body)}).status


class Sum(Model):
    """Reads as most algorithms do."""

    reads = (CSV, JSON, LINES, RECORDIO, LIBSVM)

    def __init__(self, _folder: Path) -> None:
        self.feature_count = 3

    def predict(self, rows: Any, request: Request) -> Prediction:
        return {"score": rows.sum(axis=1)}


def of_algorithms(folder: Path, content_type: str) -> Parse:
    invoke = Invocations(Sum(folder), default_accept=JSON, payload_bytes=25 * 2**20)
    return lambda body: invoke({"CONTENT_TYPE": content_type, "wsgi.input": io.BytesIO(body)}).status


def of_training(folder: Path, content_type: str) -> Parse:
    """A file beside a good one: what is read are numbers, and what cannot be read is named."""
    channel = Channel("train", folder / "train", content_type)
    channel.folder.mkdir()
    (folder / "output").mkdir()
    (channel.folder / "part-1").write_bytes(BODIES[content_type][0])
    job = Job(Declaration(), {"train": channel}, Hosts(("algo-1",), "algo-1"), folder, folder / "output/data")
    formats = (
        InputFormat(allow_missing=True, needs_labels=False, keep_sparse=True, takes_weights=True),
        InputFormat(allow_missing=True, needs_labels=False, absent=np.nan),
        InputFormat(needs_labels=False),
    )

    def parse(body: bytes) -> int:
        (channel.folder / "part-0").write_bytes(body)
        for input_format in formats:
            try:
                table = load_tables(job, ("train",), input_format)["train"]
            except ClientError as error:
                if "channel train" not in str(error):
                    raise
                continue
            features = table.features if isinstance(table.features, np.ndarray) else table.features.data
            missing = np.isnan(features) & input_format.allow_missing
            assert (missing | (np.abs(features) < BEYOND_FLOAT32)).all()
            assert (np.abs(table.labels) < BEYOND_FLOAT32).all()
            assert len(table.labels) in (0, table.features.shape[0])
        return 200

    return parse


def imported(image: str, module_name: str) -> Any:
    sys.path.insert(0, str(Path(__file__).parents[2] / "images" / image))
    try:
        return __import__(module_name)
    finally:
        sys.path.pop(0)


def booster_in(folder: Path) -> Path:
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(ROWS, [0, 1, 0]), 2)
    (folder / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("parser", "content_type"),
    [
        *((of_handlers, kind) for kind in (CSV, JSON, NPY, NPZ)),
        *((of_xgboosts_handlers, kind) for kind in (LIBSVM, CSV)),
        *((of_servers, kind) for kind in (CSV, JSON, LIBSVM, LINES, RECORDIO)),
        *((of_algorithms, kind) for kind in (CSV, JSON, LIBSVM, LINES, RECORDIO)),
        *((of_training, kind) for kind in (CSV, LIBSVM, LINES, RECORDIO, PARQUET)),
    ],
)
def test_mutated_bytes_are_read_or_refused(parser: Any, content_type: str, tmp_path: Path, capsys: Any) -> None:
    parse = parser(tmp_path, content_type)
    random_ = random.Random(SEED)
    before, slowest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0
    for number in range(COUNT):
        body = mutated(random_, random_.choice((FILES if parser is of_training else BODIES)[content_type]))
        start = time.monotonic()
        try:
            assert parse(body) in (200, 204, 400, 415)
        except BaseException as error:
            raise AssertionError(f"body {number}: {body!r}") from error
        slowest = max(slowest, time.monotonic() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    with capsys.disabled():
        if COUNT > 1000:
            print(f"\n{parser.__name__} {content_type}: {COUNT} bodies, slowest {slowest:.3f} s, {grown} MiB more")
    assert slowest < LONGEST_SECONDS
    assert grown < MOST_MEBIBYTES
