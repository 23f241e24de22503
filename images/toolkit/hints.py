"""What is probably meant by data that cannot be read, and how to fix it: for the end of a message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.spellings import is_number, spelling_of

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
VECTOR = re.compile(rb"[(\[]\s*[-+]?\d")
NO_JSON_NUMBER = re.compile(rb"[:\[,\s-](NaN|Infinity)\b")
MISSING = frozenset((b"na", b"n/a", b"#n/a", b"null", b"none", b"nil", b"missing", b"?", b"-", b".", b"<na>", b"nat"))
SEPARATOR_AND_COMMA = re.compile(rb"\d;[-+]?\d|\d;$")
HEADER = "; a header line? Name the column to predict, as target: …, or take the line out"
NOT_TEXT = "not text"
UTF_16 = "UTF-16 text; save it as UTF-8 (Excel: CSV UTF-8)"
EXCEL = "an Excel workbook; save it as CSV UTF-8"
OFFICE = "an Excel workbook or another Office file; save its table as CSV UTF-8"
KINDS_OF_FILES = (
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it, or use gzip"),
    (b"BZh", "packed with bzip2; unpack it, or use gzip"),
    (b"\xfd7zXZ", "packed with xz; unpack it, or use gzip"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"PAR1", "a Parquet file; say content_type: application/x-parquet"),
    (b"\x0a\x23\xd7\xce", "RecordIO; say content_type: application/x-recordio-protobuf"),
    (b"ARROW1", "a Feather file; save it as CSV or Parquet"),
    (b"\x80\x04\x95", "a Python pickle; save it as CSV or Parquet"),
    (b"\x80\x05\x95", "a Python pickle; save it as CSV or Parquet"),
    (b"\x93NUMPY", "a file of numpy; save it as CSV or Parquet"),
    (b"\x89HDF", "an HDF5 file; save it as CSV or Parquet"),
    (b"SQLite format", "a SQLite database; save its table as CSV or Parquet"),
    (b"%PDF", "a PDF document; save the table as CSV"),
    (b"<!doctype html", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"<?xml", "XML; save it as CSV"),
)
ZIP = b"PK\x03\x04"
KINDS_OF_ZIPS = (
    (re.compile(rb"PK\x03\x04.{26}xl/", re.DOTALL), EXCEL),
    (re.compile(rb"PK\x03\x04.{26}(word|ppt)/", re.DOTALL), "an Office document; save its table as CSV UTF-8"),
    (re.compile(rb"mimetypeapplication/vnd\.oasis"), "an OpenDocument file; save it as CSV in UTF-8"),
    (re.compile(rb"PK\x03\x04.{26}[\w/. -]{1,99}\.npy", re.DOTALL), "a file of numpy; save it as CSV or Parquet"),
    (re.compile(rb"PK\x03\x04.{26}(\[Content_Types\]|_rels/|docProps/)", re.DOTALL), OFFICE),
)
TAR_AT = 257
BYTES_LOOKED_AT = 2**13


def of_file(head: bytes) -> str:
    """What a file is that should be text, by its first BYTES_LOOKED_AT; '' if it may be text."""
    if head.startswith(ZIP):
        return next((kind for mark, kind in KINDS_OF_ZIPS if mark.search(head)), "a zip archive; unpack it")
    if head[TAR_AT:].startswith(b"ustar"):
        return "a tar archive; unpack it"
    start = head[:64]
    kind = next((kind for magic, kind in KINDS_OF_FILES if start.lower().startswith(magic.lower())), "")
    if kind or not CONTROL.search(start):
        return kind
    first, second = start[0:16:2], start[1:16:2]
    is_wide = len(start) > 3 and any(all(half) and not any(other) for half, other in ((first, second), (second, first)))
    return UTF_16 if is_wide else NOT_TEXT


def of_field(field: bytes, first: Sequence[bytes] = (), second: Sequence[bytes] = ()) -> str:
    """For a field of CSV that is no number. first, second: the first two lines' fields, if it is in the first."""
    word = field.strip().lower()
    if word in MISSING:
        return "; leave the field empty where a value is missing"
    if word.startswith(b"#"):
        return "; a comment? Take it out" if first else ""
    if word in (b"true", b"false"):
        return "; write 1 and 0 for true and false (pandas: astype(int))"
    if SEPARATOR_AND_COMMA.search(word):
        return "; fields with ; between them need numbers with a decimal point, as in 0.5"
    if spelling := spelling_of(word.decode("utf-8", "replace")):
        return f"; {spelling}"
    if VECTOR.match(word):
        return "; a vector? Write a column for each of its numbers, or libsvm"
    if _is_header(first, second):
        return HEADER
    if any(not is_number(above) and not is_number(below) for above, below in zip(first, second, strict=False)):
        return "; leave a column of text out, or let a header line name it, and list it under drop or categorical"
    return ""


def of_json(line: bytes) -> str:
    """For a line that is no JSON."""
    if NO_JSON_NUMBER.search(line):
        return "; JSON has no NaN and no infinite numbers; write null where a value is missing"
    if line.rstrip().endswith((b"[", b"{", b",")):
        return "; each instance is one line"
    return ""


def _is_header(first: Sequence[bytes], second: Sequence[bytes]) -> bool:
    """Whether several fields of the first line, or all, are no numbers, and below one of them there is a number."""
    words = [number for number, field in enumerate(first) if field.strip() and not is_number(field)]
    if not words or (len(words) == 1 and (len(first) > 1 or not second)):
        return False
    return not second or any(number < len(second) and is_number(second[number]) for number in words)
