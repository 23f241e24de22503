"""The one rule by which a document is put over another: a job over the one it is like, an environment over a spec.

Maps are merged field by field; of a list of named things, a map of names changes those it names; null takes away; all
else replaces what is there. The nodes of YAML are merged along with the data, so that each value keeps its place,
whichever file that is in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sagespec.errors import Origin
from sagespec.load.places import PLAIN, FieldPath, YamlDocument, origin_of
from sagespec.spec.environment import NAMED_LISTS

_SHORT: Mapping[FieldPath, str] = {("build",): "context", ("imported_from",): "source"}
_MAP, _LIST, _TEXT = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str"))


@dataclass(frozen=True)
class Absent:
    """What is taken away or changed by its name, and is not there. path: where that is said; known: what is there."""

    path: FieldPath
    known: tuple[str, ...]
    is_null: bool


@dataclass(frozen=True)
class Merged:
    """A document, what was to be changed in it and is not there, and where fields were taken away, by their paths."""

    document: YamlDocument
    absent: tuple[Absent, ...]
    taken_away: Mapping[str, Origin]


@dataclass(frozen=True)
class Part:
    """A field of a map: its name's node, and its value as node and as data."""

    key: Node | None
    node: Node
    data: Any

    @property
    def is_null(self) -> bool:
        return self.data is None

    @property
    def is_map(self) -> bool:
        return isinstance(self.data, dict) and isinstance(self.node, MappingNode)

    @property
    def fields(self) -> dict[str, Part]:
        return parts_of(self.node, self.data)

    def opened(self, path: FieldPath) -> Part:
        """The same without a short form: a channel's source, a build's folder, `checkpoints: true`."""
        if path == ("checkpoints",) and self.data is True:
            return Part(self.key, MappingNode(_MAP, [], self.node.start_mark, self.node.end_mark), {})
        is_channel = len(path) == 2 and path[0] == "channels"
        name = "source" if is_channel else _SHORT.get(path, "")
        if not name or not isinstance(self.data, str):
            return self
        key = ScalarNode(_TEXT, name, self.node.start_mark, self.node.end_mark)
        node = MappingNode(_MAP, [(key, self.node)], self.node.start_mark, self.node.end_mark, flow_style=True)
        return Part(self.key, node, {name: self.data})


def parts_of(node: Node, data: Mapping[str, Any]) -> dict[str, Part]:
    """The fields of a map, by name."""
    assert isinstance(node, MappingNode)
    found: dict[str, Part] = {}
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value in data:
            found.setdefault(key.value, Part(key, value, data[key.value]))
    return found


def put_over(base: Mapping[str, Part], over: Mapping[str, Part], at: Node, *, own: Collection[str] = ()) -> Merged:
    """The document that `over` makes of `base`. at: where it is said to stand. own: fields of which null is a value."""
    merging = _Merging(own)
    whole = map_of(merging.join(base, over, ()), None, at)
    return Merged(YamlDocument(whole.data, whole.node), tuple(merging.absent), merging.taken_away)


@dataclass
class _Merging:
    own: Collection[str]
    absent: list[Absent] = field(default_factory=list)
    taken_away: dict[str, Origin] = field(default_factory=dict)

    def join(self, base: Mapping[str, Part], over: Mapping[str, Part], path: FieldPath) -> dict[str, Part]:
        parts = dict(base)
        for name, part in over.items():
            here = (*path, name)
            if part.is_null and name not in self.own:
                self._take_away(name, part, parts, path)
            else:
                parts[name] = self._value(parts.get(name), part, here)
        return parts

    def _take_away(self, name: str, null: Part, parts: dict[str, Part], path: FieldPath) -> None:
        here = (*path, name)
        if parts.pop(name, None) is None:
            self.absent.append(Absent(here, tuple(parts), is_null=True))
        else:
            self.taken_away[".".join(map(str, here))] = origin_of(null.key, null.node)

    def _value(self, base: Part | None, over: Part, path: FieldPath) -> Part:
        over = over.opened(path)
        if over.is_map and path[0] in NAMED_LISTS and len(path) == 1:
            entries = _entries(base) if base else {}
            if entries is not None:
                return self._named(entries, over, base or over, path)
        beneath = base.opened(path) if base else None
        if beneath and over.is_map and beneath.is_map:
            return map_of(self.join(beneath.fields, over.fields, path), over.key, over.node)
        return over

    def _named(self, entries: dict[str, Part], over: Part, at: Part, path: FieldPath) -> Part:
        """A list whose entries are changed by their names. at: where it is said to stand."""
        for name, part in over.fields.items():
            here = (*path, name)
            if part.is_null:
                self._take_away(name, part, entries, path)
            elif name not in entries:
                self.absent.append(Absent(here, tuple(entries), is_null=False))
            elif part.is_map:
                entries[name] = map_of(self.join(entries[name].fields, part.fields, here), None, entries[name].node)
            else:
                entries[name] = part
        return _list_of(list(entries.values()), at)


def _entries(part: Part) -> dict[str, Part] | None:
    """The entries of a list by their names; None for what is no list, or has entries without a name of their own."""
    if not isinstance(part.data, list) or not isinstance(part.node, SequenceNode):
        return None
    found = [Part(None, node, data) for node, data in zip(part.node.value, part.data, strict=True)]
    named = {entry.data["name"]: entry for entry in found if entry.is_map and isinstance(entry.data.get("name"), str)}
    return named if len(named) == len(found) else None


def map_of(parts: Mapping[str, Part], key: Node | None, at: Node) -> Part:
    """A map of these fields. at: where it is said to stand."""
    flow_style = at.flow_style if isinstance(at, MappingNode) else False
    entries = [(part.key or ScalarNode(PLAIN, name), part.node) for name, part in parts.items()]
    node = MappingNode(_MAP, entries, at.start_mark, at.end_mark, flow_style=flow_style)
    return Part(key, node, {name: part.data for name, part in parts.items()})


def _list_of(entries: list[Part], at: Part) -> Part:
    flow_style = at.node.flow_style if isinstance(at.node, SequenceNode) else False
    nodes = [entry.node for entry in entries]
    node = SequenceNode(_LIST, nodes, at.node.start_mark, at.node.end_mark, flow_style=flow_style)
    return Part(at.key, node, [entry.data for entry in entries])


def text_part(text: str, at: Node, *, key: Node | None = None) -> Part:
    """A value that no file has, said to stand where `at` does."""
    return Part(key, ScalarNode(_TEXT, text, at.start_mark, at.end_mark), text)
