"""The names of a table's columns, as a CSV file of this machine has them in its first line, so that a misspelt one is
refused before anything runs.

The built-ins read the file (images/toolkit/named_files.py) and have the last word. Whatever cannot be said for certain
after a glance at the beginning of one file is left to them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from sagespec.inputs.channels import is_hidden

MOST_BYTES = 2**20
BYTES_AT_ONCE = 2**16
MOST_FILES = 10_000
NOT_CSV = (".parquet", ".json", ".jsonl", ".ndjson", ".libsvm", ".svm", ".pbr", ".rec", ".recordio")
SEPARATORS = ",;\t|"
QUOTED = re.compile(r'"[^"]*"')
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ZIP = b"PK\x03\x04"
WORKBOOK = re.compile(rb"PK\x03\x04.{26}xl/", re.DOTALL)


@dataclass(frozen=True)
class Glance:
    """What the beginning of a file shows. kind: what it is instead of CSV; names: '' for none."""

    file: str
    names: tuple[str, ...] = ()
    kind: str = ""


def glance_at(source: Path) -> Glance | None:
    """The first file of a channel's source; None where nothing certain can be said of it."""
    try:
        file = _first_file(source)
        if file is None or file.name.lower().removesuffix(".gz").endswith(NOT_CSV):
            return None
        text = _beginning(file)
    except (OSError, EOFError, zlib.error):
        return None
    if text.startswith(UTF_16):
        return Glance(file.name, kind="UTF-16 text: save it as UTF-8 (Excel: CSV UTF-8)")
    if text.startswith(ZIP):
        return Glance(file.name, kind="an Excel workbook: save it as CSV UTF-8") if WORKBOOK.search(text) else None
    names = _names_in(text)
    return Glance(file.name, names) if names else None


def _first_file(source: Path) -> Path | None:
    """None also for folders in folders: only a full search finds the first file of these."""
    if source.is_file():
        return source
    with os.scandir(source) as entries:
        found = [entry for entry, _ in zip(entries, range(MOST_FILES), strict=False) if not is_hidden(entry.name)]
    if len(found) == MOST_FILES or not all(entry.is_file() for entry in found):
        return None
    return min((Path(entry.path) for entry in found), default=None)


def _beginning(file: Path) -> bytes:
    """Up to the end of the first line that is not empty, and a little more; b'' if that is too far."""
    with file.open("rb") as plain:
        stream = gzip.GzipFile(fileobj=plain) if file.name.endswith(".gz") else plain
        text = b""
        while len(text) < MOST_BYTES and (block := stream.read(BYTES_AT_ONCE)):
            text += block
            if b"\n" in text.lstrip():
                return text
    return text if len(text) < MOST_BYTES else b""


def _names_in(text: bytes) -> tuple[str, ...]:
    try:
        decoded = codecs.getincrementaldecoder("utf-8-sig")().decode(text).lstrip("\r\n")
        first = decoded.splitlines()[0]
        separator = next((mark for mark in SEPARATORS if mark in QUOTED.sub("", first)), ",")
        reader = csv.reader(io.StringIO(decoded, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
        return tuple(name.strip() for name in next(reader))
    except (UnicodeDecodeError, csv.Error, IndexError, StopIteration):
        return ()
