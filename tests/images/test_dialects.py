"""Text as people and programs write it: read as what it says, or refused with what is odd and how to fix it."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from toolkit.data import InputFormat
from toolkit.formats import decode_csv
from toolkit.media import CSV, JSON_LINES, LIBSVM
from toolkit.rows import BadRow, parse_csv

from tests.images.channels import refusal, tables_of

LIBSVM_BY_DEFAULT = InputFormat(default_type=LIBSVM, allow_missing=True)
PLAIN = "1,0.5,-2\n0,3,1e-3\n"
NOT_DATA = "; if it is no data, take it out of the channel, or let its name begin with . or _"


@pytest.mark.parametrize(
    "text",
    [
        '1,"0.5",-2\n0,3,1e-3\n',
        '"1" ; "0.5";-2\n0;3;1e-3\n',
        '1\t"0.5"\t-2\r\n0\t"3"\t1e-3\r\n',
        '1|0.5|"-2"\r0|3|1e-3\r',
        '"1" "0.5"  -2\n0 3 1e-3\n',
        '\n\n "1" , "0.5" , "-2" \n\n0,3,1e-3',
        "\ufeff1;0.5;-2\n0;3;1e-3",
    ],
)
def test_separators_are_found_beside_quotes(text: str, tmp_path: Path) -> None:
    table = tables_of(tmp_path, CSV, train={"a.csv": text, "b.csv.gz": gzip.compress(text.encode(), mtime=0)})["train"]
    np.testing.assert_array_equal(table.labels, [1, 0, 1, 0])
    np.testing.assert_array_equal(table.features, [[0.5, -2], [3, 1e-3]] * 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        # quotes: one field each, as in RFC 4180
        ('1,"1,234.5",2\n', ":1, column 2: '1,234.5' is not a number; a separator of thousands; write 1234.5"),
        ('1,"1,5"\n', ":1, column 2: '1,5' is not a number; a decimal comma; write 1.5"),
        ('1;"1;5";2\n', ":1, column 2: '1;5' is not a number"),
        ('1,2\n1,"2""3"\n', ":2, column 2: '2\"3' is not a number"),
        ('1,2\n1,"2\n', ":2: a quote in field 2 is not closed on its line"),
        ('1,"2\n3",4\n', ":1: a quote in field 2 is not closed on its line"),
        ('1,"2"3,4\n', ":1: field 2 goes on after its closing quote"),
        ('1,2"3\n', ":1: a quote in field 2 is not closed on its line"),
        # what a field is, if no number
        ("1,True\n", ":1, column 2: 'True' is not a number; write 1 and 0 for true and false"),
        ("False,2\n", ":1, column 1: 'False' is not a number; write 1 and 0 for true and false"),
        ("1,2\n1,NA\n", ":2, column 2: 'NA' is not a number; leave the field empty where a value is missing"),
        ("1,2\n1,#N/A\n", ":2, column 2: '#N/A' is not a number; leave the field empty where a value is missing"),
        ("1;0,5\n0;0,7\n", ":1, column 1: '1;0' is not a number; fields with ; between them need numbers with a"),
        ("1,2,3\n1,12 %,2\n", ":2, column 2: '12 %' is not a number; a percent sign; write 12"),
        ("1,2,3\n1,$5,2\n", ":2, column 2: '$5' is not a number; a currency sign; write 5"),
        ("1,(262144,[4660],[0.5])\n", ":1, column 2: '(262144' is not a number; a vector? Write a column for each of"),
        ('1,"[1, 2]"\n', ":1, column 2: '[1, 2]' is not a number; a vector? Write a column for each of its numbers"),
        ("1,(5)\n", ":1, column 2: '(5)' is not a number; parentheses for a negative number; write -5"),
        ("1,2\n1,2_000\n", ":2, column 2: '2_000' is not a number"),
        ("1,2\n1,0x10\n", ":2, column 2: '0x10' is not a number"),
        # a header only where one is likely
        ("y,a,b\n1,2,3\n", ":1, column 1: 'y' is not a number; a header line? Name the column to predict"),
        (",y,a\n0,1,2\n", ":1, column 2: 'y' is not a number; a header line? Name the column to predict"),
        ("y\n1\n", ":1, column 1: 'y' is not a number; a header line? Name the column to predict"),
        ("569,30,malignant,benign\n17.9,10.3,1,2\n", ":1, column 3: 'malignant' is not a number; a header line? Na"),
        ("y,a\n", ":1, column 1: 'y' is not a number; a header line? Name the column to predict"),
        ("# made on Monday\n1,2\n", ":1, column 1: '#' is not a number; a comment? Take it out"),
    ],
)
def test_csv_is_refused_with_what_is_meant(text: str, why: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, CSV, train={"a.csv": text}).startswith("channel train: a.csv" + why)


TEXT = "; leave a column of text out, or let a header line name it, and list it under drop or categorical"


def test_a_request_with_a_header_is_told_to_leave_it_out() -> None:
    with pytest.raises(ValueError, match=r"line 1, column 1: 'y' is not a number; a header line\? Leave it out$"):
        decode_csv(b"y,a\n1,2\n", 2, 0.0)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("1,red\n2,blue\n", TEXT), ("1,2,red,x\n2,3,blue,y\n", TEXT), ("1,2\n3,x\n", "")],
)
def test_a_header_is_not_guessed_where_there_is_none(text: str, hint: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, CSV, train={"a.csv": text}).endswith("is not a number" + hint)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            '{"label": 1, "features": [1, NaN]}',
            "; JSON has no NaN and no infinite numbers; write null where a value is",
        ),
        (
            '{"label": 1, "features": [1, -Infinity]}',
            "; JSON has no NaN and no infinite numbers; write null where a va",
        ),
        ('[\n  {\n    "label": 1', "; each instance is one line"),
        ('{"label": 1,\n "features": [1]}', "; each instance is one line"),
    ],
)
def test_json_is_refused_with_what_is_meant(text: str, hint: str, tmp_path: Path) -> None:
    assert hint in refusal(tmp_path, JSON_LINES, train={"a": text})


@pytest.mark.parametrize("content_type", [CSV, LIBSVM, JSON_LINES])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (PLAIN.encode("utf-16"), "UTF-16 text; save it as UTF-8 (Excel: CSV UTF-8)"),
        (PLAIN.encode("utf-16-be"), "UTF-16 text; save it as UTF-8 (Excel: CSV UTF-8)"),
        (PLAIN.encode("utf-16-le"), "UTF-16 text; save it as UTF-8 (Excel: CSV UTF-8)"),
        (b"PK\x03\x04" + bytes(30), "a zip archive; unpack it"),
        (b"PAR1" + bytes(30), "a Parquet file; say content_type: application/x-parquet"),
        (b"\xd0\xcf\x11\xe0", "not text"),
        (b"\x89PNG\r\n\x1a\n\0", "not text"),
    ],
)
def test_what_is_no_text_is_named(content_type: str, content: bytes, why: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, content_type, train={"a.csv": content}) == f"channel train: a.csv: {why}"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("README.md", "# about these data\n", ":1, column 1: '#' is not a number; a comment? Take it out" + NOT_DATA),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0", ": not text" + NOT_DATA),
        ("desktop.ini", "[x]\r\n", ":1, column 1: '[x]' is not a number" + NOT_DATA),
        ("a.tmp", "1 4a4fc709\n", ":1, column 2: '4a4fc709' is not a number" + NOT_DATA),
        ("z.txt", "1 2 3 4\n", ":1: 3 features, but the rows before have 2" + NOT_DATA),
    ],
)
def test_a_stray_file_is_said_to_be_one(name: str, content: str | bytes, why: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, CSV, train={"m.csv": PLAIN, name: content})
    assert said.startswith(f"channel train: {name}{why[:50]}")
    assert said.endswith(NOT_DATA)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1,2 0:1\n", ":1, label: '1,2' is not one number; a row has one label here"),
        ("1 qid:3 0:1\n", ":1: 'qid:3' groups rows for ranking, which is not done here; leave it out"),
        ("1 0:2\n1 3:1 1:5 3:2\n", ":2, index 3 comes twice in the row"),
        ("1 0:1.8e308\n", ":1, index 0 is inf, not a finite number"),
    ],
)
@pytest.mark.parametrize("keep_sparse", [True, False])
def test_libsvm_is_refused_with_what_is_meant(text: str, why: str, keep_sparse: bool, tmp_path: Path) -> None:
    said = refusal(tmp_path, LIBSVM, InputFormat(keep_sparse=keep_sparse), train={"a": text})
    assert said == f"channel train: a{why}"


def test_groups_of_rows_are_passed_over_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "1 qid:1 0:2\n0 qid:2 0:4\n"
    table = tables_of(tmp_path, LIBSVM, InputFormat(takes_weights=True), train={"a": rows})["train"]
    assert table.features.tolist() == [[2], [4]]
    assert "note: channel train: qid groups rows for ranking, which is not done here" in capsys.readouterr().out
    said = refusal(tmp_path, LIBSVM, InputFormat(takes_weights=True), train={"a": "1 qid:x 0:2\n"})
    assert said.startswith("channel train: a:1: 'qid:x' groups rows for ranking")


def test_rows_far_below_rows_with_weights_need_weights_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.rows.BLOCK_BYTES", 20)
    rows = "1:0.5 0:1\n" * 3 + "1 0:1\n" * 20
    said = refusal(tmp_path, LIBSVM, InputFormat(takes_weights=True), train={"a": rows})
    assert said == "channel train: a:4: some rows have a weight, label:weight, some have none"


def test_a_long_quoted_field_is_read_once() -> None:
    start = time.process_time()
    with pytest.raises(BadRow, match="a quote in field 1 is not closed"):
        parse_csv(b'"' + b"a" * 2**23)
    assert time.process_time() - start < 0.5


def test_csv_that_is_read_as_libsvm_is_told_how_to_say_so(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", LIBSVM_BY_DEFAULT, train={"part-0": PLAIN}) == (
        "channel train: part-0:1, label: '1,0.5,-2' is not one number; this looks like CSV, not like label index:value"
        "; it is read as text/libsvm, since the channel has no content_type: for CSV, say content_type: text/csv"
    )
    assert "content_type" not in refusal(tmp_path, LIBSVM, train={"part-0": PLAIN})


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"_SUCCESS": "", ".x": "1,2\n"}, ": names that begin with . or _ are no data"),
        ({"a.csv": "", "b.csv": "\n\n"}, ": its files are empty"),
    ],
)
def test_a_channel_without_rows_says_why(files: dict[str, str], why: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, CSV, train=dict(files)) == "channel train has no rows" + why
