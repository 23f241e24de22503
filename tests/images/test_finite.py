"""What is no number to learn from is refused with its place: in every format, of every field, dense or sparse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toolkit.data import InputFormat
from toolkit.finite import BEYOND_FLOAT32, FEW, first_unfit
from toolkit.media import CSV, JSON_LINES, LIBSVM, PARQUET, RECORDIO

from tests.images.channels import as_parquet, refusal, tables_of
from tests.images.record import framed, record_of

MISSING = InputFormat(allow_missing=True, takes_weights=True, absent=np.nan)
INFINITE = "is inf, not a finite number"
BEYOND = "is 1e+39, which is beyond float32, whose largest number is 3.4e38"
EMPTY = "is empty or NaN"

LABEL = "; the first column is the label"

# How each format writes the number in the second of two rows, and where it then says that it stands.
FORMS: dict[str, tuple[str, Callable[[str], bytes], str]] = {
    "csv": (CSV, lambda word: f"1,2,3\n\n0,4,{word}\n".encode(), "f:3, column 3"),
    "csv label": (CSV, lambda word: f"1,2,3\n{word},4,5\n".encode(), "f:2, column 1"),
    "libsvm": (LIBSVM, lambda word: f"1 0:2\n# said\n0 1:3 7:{word}\n".encode(), "f:3, index 7"),
    "libsvm label": (LIBSVM, lambda word: f"1 0:2\n{word} 1:3\n".encode(), "f:2, label"),
    "libsvm weight": (LIBSVM, lambda word: f"1:1 0:2\n1:{word} 1:3\n".encode(), "f:2, weight"),
    "records": (
        RECORDIO,
        lambda word: framed(record_of([1, 2], [1]), record_of([3, float(word)], [0])),
        "f: record 2, feature 2",
    ),
    "sparse records": (
        RECORDIO,
        lambda word: framed(*(record_of([value], [1], keys=[5], shape=[9]) for value in (1, float(word)))),
        "f: record 2, index 5",
    ),
    "label of records": (
        RECORDIO,
        lambda word: framed(record_of([1], [1]), record_of([1], [float(word)])),
        "f: record 2, label",
    ),
    "Parquet": (PARQUET, lambda word: as_parquet({"y": [1, 0], "a": [1, float(word)]}), "f: row 2, column 2 (a)"),
    "Parquet label": (PARQUET, lambda word: as_parquet({"y": [1, float(word)], "a": [1, 2]}), "f: row 2, column 1 (y)"),
}


def role_in(place: str) -> str:
    """What is said of a column that is the label by its place."""
    return LABEL if "column 1" in place else ""


@pytest.mark.parametrize("input_format", [MISSING, InputFormat(takes_weights=True)])
@pytest.mark.parametrize("form", FORMS)
def test_infinite_numbers_are_refused_by_all(form: str, input_format: InputFormat, tmp_path: Path) -> None:
    content_type, written, place = FORMS[form]
    for number, (word, why) in enumerate((("inf", INFINITE), ("1e400", INFINITE))):
        said = refusal(tmp_path / str(number), content_type, input_format, train={"f": written(word)})
        assert said == f"channel train: {place} {why}{role_in(place)}"


@pytest.mark.parametrize("form", [name for name in FORMS if "record" not in name])
def test_numbers_beyond_float32_are_refused(form: str, tmp_path: Path) -> None:
    content_type, written, place = FORMS[form]
    said = refusal(tmp_path, content_type, MISSING, train={"f": written("1e39")})
    assert said == f"channel train: {place} {BEYOND}{role_in(place)}"


@pytest.mark.parametrize("form", FORMS)
def test_missing_numbers_are_for_those_that_take_them(form: str, tmp_path: Path) -> None:
    content_type, written, place = FORMS[form]
    strict = InputFormat(takes_weights=True)
    said = refusal(tmp_path, content_type, strict, train={"f": written("nan")})
    assert said == f"channel train: {place} {EMPTY}{role_in(place)}"
    if any(word in form for word in ("label", "weight")):
        assert EMPTY in refusal(tmp_path, content_type, MISSING, train={"f": written("nan")})
    else:
        assert np.isnan(tables_of(tmp_path, content_type, MISSING, train={"f": written("nan")})["train"].features).any()


def test_the_largest_of_float32_is_read(tmp_path: Path) -> None:
    table = tables_of(tmp_path, CSV, train={"f": "1,3.4028235e38,-3.4028235e38\n"})["train"]
    assert np.isfinite(table.features.astype(np.float32)).all()


@pytest.mark.parametrize(
    ("content_type", "content", "why"),
    [
        (LIBSVM, "1 0:1\n0 0: 1:2\n", ":2: '0:' has no value after the colon"),
        (LIBSVM, "1:2 0:1\n0 0:1\n", ":2: some rows have a weight, label:weight, some have none"),
        (LIBSVM, "1:2 0:1\n0:-1 0:1\n", ":2, weight is -1, but a weight is 0 or more"),
        (JSON_LINES, '{"label": 1, "features": [1, "2"]}', ":1: not an instance as expected: '2' is text, not"),
        (JSON_LINES, '{"label": 1, "features": [1, NaN]}', ":1: not an instance as expected: "),
        (JSON_LINES, '{"label": 1, "features": [1, 1e400]}', ":1"),
        (
            JSON_LINES,
            '{"label": 1, "features": {"keys": [0, 4], "values": [1, null], "shape": [5]}}',
            ":1, index 4 is empty or NaN",
        ),
        (JSON_LINES, '\n{"label": 1, "features": [1, null]}', ":2, feature 2 is empty or NaN"),
    ],
)
def test_what_only_looks_like_a_number_is_refused(content_type: str, content: str, why: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, content_type, InputFormat(takes_weights=True), train={"f": content})
    assert said.startswith("channel train: f" + why)


def test_weights_of_libsvm_are_read_where_they_are_used(tmp_path: Path) -> None:
    rows = "1:2.5 0:1\n0:1 1:2\n"
    table = tables_of(tmp_path, LIBSVM, MISSING, train={"f": rows})["train"]
    assert table.weights is not None
    assert table.weights.tolist() == [2.5, 1]
    assert "starts with '1:2.5', not with a label" in refusal(tmp_path, LIBSVM, train={"f": rows})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 3, FEW, FEW + 1])
def test_the_first_that_is_no_number_is_found_among_few_and_many(count: int) -> None:
    largest = np.nextafter(BEYOND_FLOAT32, 0)
    assert first_unfit(np.full((count, 1), -largest), allow_missing=False) is None
    for unfit in (BEYOND_FLOAT32, -BEYOND_FLOAT32, 1e200, np.inf, -np.inf, np.nan):
        values = np.zeros((1, count))
        values[0, count // 2] = unfit
        assert first_unfit(values, allow_missing=False) == count // 2
