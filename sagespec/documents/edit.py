"""Changes of single fields in the text of a spec that a person wrote: the rest stays as it is, letter by letter.

A value is replaced where its node says it stands; its quotes and whatever comments are around it are kept. What was
written is read again, and must be what was there but for the changes: else the file is left alone, and a person is
asked to edit it. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sagespec.documents.emit import in_braces
from sagespec.errors import Problem, SpecError
from sagespec.load.places import PLAIN, FieldPath, YamlDocument
from sagespec.load.reading import Reading
from sagespec.spec.values import cut

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")  # an anchor, a tag
_LINE = re.compile(r"[^\r\n]*")


@dataclass(frozen=True)
class Edit:
    """A field of a document and the value it is to have; a field that is not there is added. An index that is one too
    high adds an item to a list. of_key: the field is to have this name, and keeps its value."""

    path: FieldPath
    value: Any
    of_key: bool = False

    @property
    def field(self) -> str:
        return ".".join(map(str, self.path))


class _ByHandError(Exception):
    """Why a field cannot be changed here."""


def read_documents(text: str, file: str) -> list[YamlDocument]:
    """SpecError with all that is wrong with the text as YAML."""
    reading = Reading(text, file)
    documents = list(reading.documents())
    if reading.problems:
        raise SpecError(reading.problems)
    return documents


def edited(text: str, file: str, number: int, edits: Sequence[Edit]) -> str:
    """The text of a file with these changes in its document of this number. file: its name, for problems."""
    wanted = [document.data for document in read_documents(text, file)]
    new = text
    for edit in edits:
        document = read_documents(new, file)[number]
        try:
            new, value = _with(new, document, edit)
            put = _renamed if edit.of_key else _put
            wanted[number] = put(wanted[number], edit.path, value)
            if _data(new, file) != wanted:
                raise _ByHandError("the way it is written is not understood well enough")
        except _ByHandError as why:
            what = f"{edit.field} cannot be set to {cut(in_braces(edit.value))} here"
            fix = "edit the file by hand"
            raise SpecError(Problem(what, why=str(why), fix=fix, where=document.place(edit.path))) from None
    return new


def value_from(text: str) -> Any:
    """A value as somebody writes it on the command line: read as in a spec.

    >>> value_from("200"), value_from("1e-3"), value_from("binary:logistic"), value_from("[1, 2]")
    (200, 0.001, 'binary:logistic', [1, 2])
    """
    documents = read_documents(text, "the value")
    return documents[0].data if documents else None


def _data(text: str, file: str) -> list[Any]:
    try:
        return [document.data for document in read_documents(text, file)]
    except SpecError:
        return []


def _with(text: str, document: YamlDocument, edit: Edit) -> tuple[str, Any]:
    """The text with one change, and the value as it was written: a number in quotes stays in quotes."""
    node, rest = _nearest(document.node, edit.path, of_key=edit.of_key)
    if not rest:
        value = str(edit.value) if _is_quoted(node) and _is_number(edit.value) else edit.value
        return _replaced(text, node, value), value
    if isinstance(node, ScalarNode) and node.tag == PLAIN and not node.value and isinstance(rest[0], str):
        return _replaced(text, node, _nested(rest, edit.value)), edit.value
    if isinstance(node, MappingNode) and isinstance(rest[0], str):
        entry = f"{in_braces(rest[0])}: {in_braces(_nested(rest[1:], edit.value))}"
    elif isinstance(node, SequenceNode) and rest[0] == len(node.value):
        entry = in_braces(_nested(rest[1:], edit.value))
    else:
        raise _ByHandError("what is there is written in a short form")
    return _added(text, node, entry), edit.value


def _nearest(node: Node, path: FieldPath, *, of_key: bool = False) -> tuple[Node, FieldPath]:
    """The innermost node on the way to `path`, and the steps that are left from there. of_key: the last is its name."""
    for index, step in enumerate(path):
        before = node.start_mark.index
        if isinstance(node, MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            child, before = (found[1], found[0].end_mark.index) if found else (None, before)
            if found and of_key and index == len(path) - 1:
                child, before = found[0], node.start_mark.index
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
        else:
            child = None
        if child is None:
            return node, path[index:]
        if child.start_mark.index < before:
            raise _ByHandError("it is written elsewhere, and repeated by an alias (*) here")
        node = child
    return node, ()


def _nested(path: FieldPath, value: Any) -> Any:
    for step in reversed(path):
        if not isinstance(step, str):
            raise _ByHandError("there is no list yet")
        value = {step: value}
    return value


def _put(data: Any, path: FieldPath, value: Any) -> Any:
    """The data with a value at a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, list) and isinstance(step, int):
        items = list(data)
        return [*items[:step], _put(items[step] if step < len(items) else None, rest, value), *items[step + 1 :]]
    fields = dict(data or {})
    return {**fields, step: _put(fields.get(str(step)), rest, value)}


def _renamed(data: Any, path: FieldPath, name: Any) -> Any:
    """The data with the last field of a path called something else."""
    step, rest = path[0], path[1:]
    if rest:
        return _put(data, (step,), _renamed(data[step], rest, name))
    return {name if field == step else field: value for field, value in data.items()}


def _is_quoted(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.style in ("'", '"')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _replaced(text: str, node: Node, value: Any) -> str:
    if node.style in ("|", ">") if isinstance(node, ScalarNode) else not getattr(node, "flow_style", False):
        raise _ByHandError("it is written over several lines")
    start, end = node.start_mark.index, node.end_mark.index
    if match := _PROPERTIES.match(text, start, end):
        start = match.end()
    space = " " if start == end and text[start - 1 : start] == ":" else ""
    return f"{text[:start]}{space}{_as_before(node, value)}{text[end:]}"


def _as_before(node: Node, value: Any) -> str:
    """The value in the quotes of the old one."""
    style = node.style if isinstance(node, ScalarNode) else None
    if isinstance(value, str) and value.isprintable() and style == '"':
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.isprintable() and style == "'":
        return "'" + value.replace("'", "''") + "'"
    return in_braces(value)


def _added(text: str, node: MappingNode | SequenceNode, entry: str) -> str:
    """With one more entry in a map or list, after those it has."""
    if not node.value:
        start = text.index("{" if isinstance(node, MappingNode) else "[", node.start_mark.index) + 1
        return f"{text[:start]}{entry}{text[start:]}"
    if node.flow_style:
        last = node.value[-1]
        end = _end_of(last[1] if isinstance(node, MappingNode) else last)
        return f"{text[:end]}, {entry}{text[end:]}"
    end, first = _end_of(node), node.value[0]
    column = first[0].start_mark.column if isinstance(node, MappingNode) else node.start_mark.column
    dash = "- " if isinstance(node, SequenceNode) else ""
    line_break = "\r\n" if "\r\n" in text else "\n"
    line = f"{' ' * column}{dash}{entry}"
    if text[end - 1] == "\n":  # behind a text of several lines
        return f"{text[:end]}{line}{line_break}{text[end:]}"
    match = _LINE.match(text, end)
    end = match.end() if match else end
    return f"{text[:end]}{line_break}{line}{text[end:]}"


def _end_of(node: Node) -> int:
    """Where the last thing inside of a node ends, without the comments and empty lines that follow."""
    if isinstance(node, MappingNode | SequenceNode) and node.value and not node.flow_style:
        last = node.value[-1]
        before, child = (last[0].end_mark.index, last[1]) if isinstance(node, MappingNode) else (0, last)
        return max(before, _end_of(child))
    return int(node.end_mark.index)
