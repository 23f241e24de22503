"""What a glance at the first file of a channel shows of its columns, and where it says nothing."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from toolkit import hints
from toolkit.named_files import names_in
from toolkit.rows import BadRow

from sagespec.inputs.headers import Glance, glance_at


def workbook() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"):
            archive.writestr(name, "content")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("files", "glance"),
    [
        ({"a.csv": b"id,age,y\n1,2,3\n"}, Glance("a.csv", ("id", "age", "y"))),
        ({"a.csv": b"\xef\xbb\xbf\r\n id ; 'age' ;\"y; z\"\r\n"}, Glance("a.csv", ("id", "'age'", "y; z"))),
        ({"a.csv": gzip.compress(b"id,age\n"), "b.csv": b""}, None),
        ({"a.csv": b'"age, in years";y\n'}, Glance("a.csv", ("age, in years", "y"))),
        ({"a.csv.gz": gzip.compress(b"id,age\n")}, Glance("a.csv.gz", ("id", "age"))),
        ({"a.csv.gz": b"id,age\n"}, None),
        ({"a": b"id\n", "_b": b"x\n", ".c/d": b"x\n"}, Glance("a", ("id",))),
        ({"a.csv": b"id\n", "b/c.csv": b"x\n"}, None),
        ({"a.csv": b"x" * 2**20 + b"\n"}, None),
        ({"a.csv": b"\xe4,b\n"}, None),
        ({"a.csv": b'"a,b\n'}, None),
        ({"a.csv": b""}, None),
        ({"a.parquet": b"id,age\n"}, None),
        ({}, None),
        (
            {"a.csv": "id,y\n".encode("utf-16")},
            Glance("a.csv", kind="UTF-16 text: save it as UTF-8 (Excel: CSV UTF-8)"),
        ),
        ({"a.xlsx": workbook()}, Glance("a.xlsx", kind="an Excel workbook: save it as CSV UTF-8")),
        ({"a.csv": b"PK\x03\x04" + bytes(99)}, None),
    ],
)
def test_names_are_given_only_where_they_are_certain(
    files: Mapping[str, bytes], glance: Glance | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert glance_at(tmp_path) == glance
    if len(files) == 1:
        assert glance_at(tmp_path / next(iter(files))) == glance


@pytest.mark.parametrize(
    "content",
    [
        b"id,age,y\n1,2,3\n",
        b"\xef\xbb\xbf\r\n id ; 'age' ;\"y; z\"\r\n",
        b'"age, in years";y\n1;2\n',
        b'"a ""b""",c\n1,2\n',
        b'"two\nlines",y\n1,2\n',
        b"a|b\tc\n1|2\n",
        b"a,b;c\n1,2\n",
        b"alone\n1\n",
        b"a,,b\n1,2,3\n",
        b' "a", "b"\n1,2\n',
        "größe,y\n1,2\n".encode(),
        b"a,b\r1,2\r",
        b'"a,b\n1,2\n',
        b"\xe4,b\n1,2\n",
        b"",
    ],
)
def test_a_glance_finds_the_names_that_the_algorithm_reads(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    glance = glance_at(tmp_path)
    try:
        read = names_in(io.BytesIO(content), is_parquet=False)
    except BadRow:
        read = ()
    assert glance is None or glance.names == read


def test_a_glance_names_files_as_the_algorithm_does(tmp_path: Path) -> None:
    for content in (workbook(), "id,y\n".encode("utf-16")):
        (tmp_path / "a.csv").write_bytes(content)
        glance = glance_at(tmp_path)
        assert glance
        assert glance.kind.replace(":", ";", 1) == hints.of_file(content)
