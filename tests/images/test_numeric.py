"""The short way for tables of numbers: the same arrays and texts as the long way, or none."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from toolkit import numeric
from toolkit.codecs import CodecError, decode, encode
from toolkit.wrapped_json import unwrapped

from tests.images.conftest import IMAGES

JSON, CSV = "application/json", "text/csv"
DOUBLES = some.floats() | some.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0])
NUMBERS = some.floats(allow_nan=False) | some.integers(-(2**70), 2**70) | some.integers(-9, 9) | some.just(-0.0)
VALUES: Any = NUMBERS | some.sampled_from([None, True, False, "a", "1", [], [1.5], {}, 2**63, 2**64, -(2**63) - 1])
ROWS = some.lists(some.lists(NUMBERS, min_size=2, max_size=2), max_size=4)
WRAPPED: dict[str, Callable[[Any], Any]] = {
    "bare": lambda rows: rows,
    "instances": lambda rows: {"instances": rows},
    "features": lambda rows: {"instances": [{"features": row, "label": 1} for row in rows]},
    "values": lambda rows: {"instances": [{"data": {"features": {"values": row}}} for row in rows]},
    "inputs": lambda rows: {"inputs": rows, "parameters": {}},
    "inputs of features": lambda rows: {"inputs": [{"features": row} for row in rows]},
    "features alone": lambda rows: [{"features": row} for row in rows],
    "one object too many": lambda rows: {"instances": [*rows, {"features": [1.5, 2]}]},
    "split": lambda rows: {"dataframe_split": {"data": rows}, "instances": [[1.5]]},
    "records": lambda rows: {"instances": rows, "dataframe_records": [{"a": row[0]} for row in rows]},
}


def outcome(call: Any) -> Any:
    """What a call gives: an array by all that tells arrays apart, or that it fails."""
    try:
        value = call()
    except Exception as error:
        return error.status_code if isinstance(error, CodecError) else 415
    value = value.to_numpy() if hasattr(value, "to_numpy") else value
    return (value.dtype, value.shape, value.flags.writeable, value.flags.c_contiguous, repr(value.tolist()))


@pytest.mark.filterwarnings("ignore:Constructing a DataFrame")
@pytest.mark.parametrize("wrapped", WRAPPED)
@settings(deadline=None)
@given(rows=ROWS | some.lists(some.lists(VALUES, max_size=3), max_size=3) | some.lists(VALUES, max_size=3))
def test_json_becomes_the_array_that_it_becomes_the_long_way(wrapped: str, rows: Any) -> None:
    try:
        body = json.dumps(WRAPPED[wrapped](rows))
    except (TypeError, LookupError):  # this row has no first value
        return
    assert outcome(lambda: decode(body, JSON)) == outcome(lambda: unwrapped(json.loads(body)))


@pytest.mark.parametrize(
    ("body", "is_short"),
    [
        (b"[[1.5, 2], [3, 4]]", True),
        (b'{"instances": [{"features": [1, 2]}]}', True),
        (b"[[123456789012345678901, 1.5]]", False),
        (b"[[1e400, 1.5]]", False),
        (b"[[NaN, 1.5]]", False),
        (b"[[null, 1.5]]", False),
        (b'[["a", 1.5]]', False),
        (b"[[1.5], [2, 3]]", False),
        (b"[1.5, 2]", False),
        (b"[[1.5, 2],", False),
        (b"7", False),
        (b"null", False),
        (b"[]", False),
        (b"{}", False),
    ],
)
def test_only_tables_of_numbers_go_the_short_way(body: bytes, is_short: bool) -> None:
    assert (numeric.table_of_json(body) is not None) == is_short


def test_a_table_of_many_blocks_is_whole() -> None:
    rows = np.random.default_rng(1).normal(size=(numeric.BLOCK_NUMBERS // 10, 25))
    np.testing.assert_array_equal(decode(json.dumps(rows.tolist()), JSON), rows)


@settings(deadline=None)
@given(
    some.lists(DOUBLES, max_size=5),
    some.sampled_from([np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_, np.longdouble, object, ">f8"]),
    some.sampled_from([(-1,), (-1, 1), (1, -1), (1, -1, 1)]),
)
def test_an_array_is_written_as_the_long_way_writes_it(numbers: list[float], dtype: Any, shape: Any) -> None:
    with np.errstate(all="ignore"):
        array = np.array(numbers).astype(dtype).reshape(shape) if numbers else np.empty(0, dtype)
    text = io.StringIO()
    try:
        np.savetxt(text, array, delimiter=",", fmt="%s")
    except ValueError:
        with pytest.raises(ValueError, match="Expected 1D or 2D"):
            encode(array, CSV)
    else:
        assert encode(array, CSV)[0].decode() == text.getvalue()
    if array.dtype != np.longdouble:
        written = encode(array, JSON)[0]
        assert repr(json.loads(written)) == repr(json.loads(json.dumps(array.tolist())))


def test_texts_are_written_as_the_long_way_writes_them() -> None:
    assert encode(np.array(["größe", "a,b"]), CSV)[0].decode() == "größe\na,b\n"
    assert json.loads(encode(np.array(["größe"]), JSON)[0]) == ["größe"]


def test_codecs_need_no_pandas() -> None:
    """It takes longer to import than all the rest of a server."""
    script = """
import sys
from toolkit.codecs import decode, encode
for body, kind in (("1,2", "text/csv"), ("[[1.5, 2]]", "application/json")):
    encode(decode(body, kind), kind)
assert not {"pandas", "scipy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=IMAGES, check=True)
