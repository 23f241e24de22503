"""Lines of CSV with quoted fields, as RFC 4180 has them: a quoted field may hold separators, and quotes twice."""

from __future__ import annotations

import re
from functools import cache

QUOTED = rb'"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"'  # nothing is tried twice: a field may be as long as a request


def fields_of(line: bytes, separator: bytes) -> list[bytes]:
    """The fields of a line, without their quotes. Raises ValueError. Blanks that separate count as one."""
    line = line.strip() if separator == b" " else line.rstrip(b"\r\n")
    if b'"' not in line:
        return line.split() if separator == b" " else line.split(separator)
    pattern = _field(separator)
    fields: list[bytes] = []
    position = 0
    while True:
        match = pattern.match(line, position)
        assert match is not None  # a field may be empty
        quoted, plain, end = match["quoted"], match["plain"], match["end"]
        if quoted is None and b'"' in plain:
            raise ValueError(f"a quote in field {len(fields) + 1} is not closed on its line")
        if quoted is not None and plain.strip():
            raise ValueError(f"field {len(fields) + 1} goes on after its closing quote")
        fields.append(plain if quoted is None else quoted.replace(b'""', b'"'))
        if not end:
            return fields
        position = match.end()


def without_quoted(line: bytes) -> bytes:
    return re.sub(QUOTED, b"", line)


@cache
def _field(separator: bytes) -> re.Pattern[bytes]:
    """One field, or what stands behind its closing quote, up to the next separator or the end."""
    mark = re.escape(separator)
    blanks = b"" if separator == b" " else b" *" if separator == b"\t" else rb"[ \t]*"
    end = mark + (b"+" if separator == b" " else b"")
    return re.compile(blanks + b"(?:" + QUOTED + b")?(?P<plain>[^" + mark + b"]*)(?P<end>" + end + b"|$)")
