"""A YAML library's complaints in plain words, each at the place that needs the change."""

from __future__ import annotations

import re

import yaml

from sagespec.errors import Origin, Problem
from sagespec.load.files import LINE_BREAK
from sagespec.spec.values import quoted

DEEPEST = 50  # levels of nesting in a file

# (what libyaml or PyYAML says, what is wrong, how to fix it); the first that matches is reported.
_SYNTAX = [
    (
        "mapping values are not allowed",
        'a ":" is not expected here',
        'quote a value that holds ": "; align the fields of one map in one column',
    ),
    ("sequence entries are not allowed", "a list may not start here", "start the list on a line of its own"),
    ("could not find expected ':'", 'this line has no ":" after its name', "write it as name: value"),
    (
        "unexpected end of stream|unexpected document (separator|indicator)",
        "the quote that opens here is never closed",
        "close it",
    ),
    (
        "expected ',' or '[]}]'",
        "the list or map in brackets is not written correctly here",
        "put a comma between entries, and close the bracket",
    ),
    (
        "expected '-' indicator|expected <block end>, but found '<block mapping",
        "this does not continue the list above",
        "start its entries with - in one column, and the field after it where the field that holds it starts",
    ),
    (
        "expected key|expected <block end>",
        "this does not fit the map around it",
        "align the fields of one map in one column; close quotes and brackets above",
    ),
    ("undefined alias", "this document has no anchor of that name above this line", "set it with &, or quote the text"),
    (
        "escape",
        "a backslash in double quotes starts an escape that YAML does not know",
        "use single quotes, or write each backslash twice",
    ),
    (
        "document start",
        "this does not continue the document above",
        "put --- on a line of its own between documents",
    ),
    ("maximum nesting depth", f"nests more than {DEEPEST} levels deep", "flatten it"),
    ("expected (the )?node content", "a value is missing here", "write one, or quote the text"),
    ("%YAML|%TAG|directive|YAML document", "a directive YAML does not know", "remove the line, or quote the text"),
    ("[tT]ag|'!'|'>'", "a tag YAML does not know", "remove it, or quote the text"),
]
_AT_OPENING = re.compile("expected ':'|end of stream")


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """The library's complaint in plain words, at the place that needs the change."""
    said = str(getattr(error, "problem", None) or error)
    mark, opening = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if mark is None:
        return Problem(f"is not YAML: {said}", where=Origin(file))
    lines = LINE_BREAK.split(text)
    line_index, column = mark.line, mark.column
    if not any(line.strip() for line in lines[line_index:]):  # the end, which libyaml puts on a line after the last
        line_index = max((index for index, line in enumerate(lines) if line.strip()), default=0)
        column = len(lines[line_index].rstrip())
    line = lines[line_index]
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indentation:
        where = Origin(file, line_index + 1, indentation.index("\t") + 1)
        return Problem("a tab indents this line", why="YAML allows spaces only", fix="indent with spaces", where=where)
    where = Origin(file, line_index + 1, column + 1)
    if "cannot start any token" in said:
        sign = line[column : column + 1]
        return Problem(f"a value may not start with {quoted(sign)}", fix="quote the text", where=where)
    why = ""
    if opening and _AT_OPENING.search(said):
        where = Origin(file, opening.line + 1, opening.column + 1)
    elif opening and "flow" in str(getattr(error, "context", "")):
        why = f"the bracket opens at {file}:{opening.line + 1}:{opening.column + 1}"
    for pattern, what, fix in _SYNTAX:
        if re.search(pattern, said):
            return Problem(what, why=why, fix=fix, where=where)
    return Problem(f"is not YAML: {said}", where=where)
