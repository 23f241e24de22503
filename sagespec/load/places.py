"""Where each part of a YAML document is, and how it is written there: what problems point at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sagespec.errors import Origin
from sagespec.spec.values import cut, quoted

PLAIN = "plain"  # the tag of a scalar without quotes, which `reading` has yet to understand

FieldPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlDocument:
    """One YAML document: plain data, and where each part of it is. A node's marks say in which file that is."""

    data: Any
    node: Node

    def place(self, path: FieldPath = (), *, of_key: bool = False) -> Origin:
        """Where the value at `path` is written, or else the key of the innermost one around it that is."""
        key, value, found = self._descend(path)
        lacks_the_rest = found < len(path) and not isinstance(value, ScalarNode)
        return origin_of(key, value, of_key=of_key or lacks_the_rest)

    def written_part(self, path: FieldPath) -> FieldPath:
        """`path` as far as the file has it: a channel's short form has no `source`."""
        return path[: self._descend(path)[2]]

    def scalar(self, path: FieldPath) -> tuple[str, bool] | None:
        """The text at `path` and whether it is quoted; None for a map or list."""
        value = self._descend(path)[1]
        return (value.value, value.tag != PLAIN) if isinstance(value, ScalarNode) else None

    def written(self, path: FieldPath = ()) -> str:
        """The value at `path` as written in the file, short enough for one line."""
        value = self._descend(path)[1]
        if not isinstance(value, ScalarNode):
            return "a map" if isinstance(value, MappingNode) else "a list"
        return quoted(value.value) if value.tag != PLAIN else cut(" ".join(value.value.split())) or "empty"

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """Places by field path, in words: "variants.0.model"."""
        return dict(_all_origins(self.node, ()))

    def _descend(self, path: FieldPath) -> tuple[Node | None, Node, int]:
        """The key and value nearest to `path`, and how many of its steps they are down."""
        key, node = None, self.node
        for found, step in enumerate(path):
            child = next(((k, value) for name, k, value in _children(node) if name == step), None)
            if child is None:
                return key, node, found
            key, node = child
        return key, node, len(path)


class LazyOrigins(Mapping[str, Origin]):
    """`YamlDocument.origins`, computed on first use, as most documents never need any."""

    def __init__(self, document: YamlDocument) -> None:
        self._document = document

    def __getitem__(self, path: str) -> Origin:
        return self._document.origins[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document.origins)

    def __len__(self) -> int:
        return len(self._document.origins)


def _children(node: Node) -> Iterator[tuple[str | int, Node | None, Node]]:
    """(name or index, key's node, value's node) of a map's or list's entries."""
    if isinstance(node, MappingNode):
        yield from ((key.value, key, value) for key, value in node.value if isinstance(key, ScalarNode))
    elif isinstance(node, SequenceNode):
        yield from ((index, None, value) for index, value in enumerate(node.value))


def origin_of(key: Node | None, value: Node, *, of_key: bool = False) -> Origin:
    """Where to look: at the value, or at its key if the value is empty or starts on its own line."""
    block = isinstance(value, MappingNode | SequenceNode) and not value.flow_style
    empty = isinstance(value, ScalarNode) and value.tag == PLAIN and not value.value
    mark = (key if key and (of_key or block or empty) else value).start_mark
    return Origin(mark.name, mark.line + 1, mark.column + 1)


def _all_origins(node: Node, path: tuple[str, ...]) -> Iterator[tuple[str, Origin]]:
    for name, key, value in _children(node):
        here = (*path, str(name))
        yield ".".join(here), origin_of(key, value)
        yield from _all_origins(value, here)
