"""YAML text to plain data: values where YAML 1.1 and 1.2 agree, and problems where they do not.

`places` says where each part stands, `syntax` what a file is that is not YAML.

YAML is read where versions 1.1 and 1.2 agree. A plain word or number that they read differently (no,
010, 1:30, 2024-01-01) is refused rather than guessed, as are tags, merge keys and numbers JSON cannot
hold. Only 1e-3 is read, as 1.2 has it: it is how people write a learning rate.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sagespec.errors import Problem
from sagespec.load.places import PLAIN, YamlDocument, origin_of
from sagespec.load.syntax import DEEPEST, syntax_problem
from sagespec.spec.values import cut, quoted

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # PyYAML built without libyaml: the same, ten times slower
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]

MOST_NODES = 200_000  # in a file, counting what aliases repeat: 1,000 endpoints have some 30,000
MOST_PROBLEMS = 50  # reported for one file; nobody fixes more at once
_TEXT, _MAP, _LIST = "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


class _RefusedError(Exception):
    """Ends the reading of a file: what follows in it cannot be read safely or is not worth it."""

    def __init__(self, what: str, fix: str, node: Node) -> None:
        super().__init__(what)
        self.what, self.fix, self.node = what, fix, node


def _too_deep(node: Node) -> _RefusedError:
    return _RefusedError(
        f"nests more than {DEEPEST} levels deep", "flatten it, or look for an alias inside itself", node
    )


def _too_many(node: Node) -> _RefusedError:
    what = f"the file holds more than {MOST_NODES:,} values, counting what aliases repeat"
    return _RefusedError(what, "split it into several files", node)


class _Named(io.StringIO):
    """A text with the name of its file, which all marks then hold."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text, newline="\n")  # none is changed
        self.name = name


class _Composer(_Loader):
    """libyaml's tree of nodes with their marks; plain scalars are left for `Reading` to understand.

    The two *_resolver methods are called around every node while the tree is being made: the place
    to stop before deep nesting overflows libyaml's stack or a file grows past all use.
    """

    depth = 0
    nodes = 0

    def resolve(self, kind: type[Node], _value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return PLAIN if implicit[0] else _TEXT
        return _MAP if kind is MappingNode else _LIST

    def descend_resolver(self, current_node: Any, _current_index: Any) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > DEEPEST:
            raise _too_deep(current_node)
        if self.nodes > MOST_NODES:
            raise _too_many(current_node)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class Reading:
    """One file's documents as plain data, and in `problems` what is wrong with it as YAML."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._file = file
        self._nodes = 0

    def documents(self) -> Iterator[YamlDocument]:
        """The documents up to where the file stops being YAML; empty ones are left out."""
        composer = _Composer(_Named(self._text, self._file))
        try:
            while composer.check_node():
                node = composer.get_node()
                assert node is not None, "check_node promised one"
                data = self._plain(node, 0)
                if data is not None:
                    yield YamlDocument(data, node)
        except _RefusedError as refused:
            self.problems.append(Problem(refused.what, fix=refused.fix, where=origin_of(None, refused.node)))
        except yaml.YAMLError as error:
            self.problems.append(syntax_problem(error, self._text, self._file))
        finally:
            composer.dispose()

    def _note(self, what: str, node: Node, *, why: str = "", fix: str = "") -> None:
        if len(self.problems) == MOST_PROBLEMS:
            raise _RefusedError("the file has more problems than listed here", "correct them and run again", node)
        self.problems.append(Problem(what, why=why, fix=fix, where=origin_of(None, node)))

    def _plain(self, node: Node, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:  # again, because an alias is one node to the composer
            raise _too_many(node)
        if depth > DEEPEST:
            raise _too_deep(node)
        if node.tag == PLAIN:
            return self._scalar(node, node.value)
        if node.tag not in (_TEXT, _LIST, _MAP):
            tag = cut(node.tag.replace("tag:yaml.org,2002:", "!!"))
            self._note(f"the tag {tag} is not allowed", node, why="specs hold plain data only", fix="remove the tag")
        if isinstance(node, SequenceNode):
            return [self._plain(item, depth + 1) for item in node.value]
        if isinstance(node, MappingNode):
            return self._map(node, depth)
        if unfit := _UNFIT.search(node.value):
            self._note(f"the text holds the character U+{ord(unfit[0]):04X}", node, fix="remove the escape")
            return _UNFIT.sub("", node.value)
        return str(node.value)

    def _map(self, node: MappingNode, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        keys: dict[str, Node] = {}
        for key_node, value_node in node.value:
            name, value = self._key(key_node, depth + 1), self._plain(value_node, depth + 1)
            if name in keys:
                first = origin_of(None, keys[name])
                self._note(
                    f"{cut(name)} is given twice in one map",
                    key_node,
                    why=f"the first is at {first}; readers differ in which one counts",
                    fix="remove one of them",
                )
            elif name is not None:
                data[name], keys[name] = value, key_node
        return data

    def _key(self, node: Node, depth: int) -> str | None:
        """A map's key; None, with the problem noted, when it is no text."""
        if not isinstance(node, ScalarNode):
            fix = "quote the text if the brackets belong to it; templates ({{…}}) are not filled in"
            self._note("a map or list is used as a name", node, fix=fix)
            return None
        if node.tag == PLAIN and node.value == "<<":
            self._note(
                "merge keys (<<) are not part of YAML 1.2",
                node,
                fix="write out the fields, or reuse a whole value by alias: resources: *small",
            )
            return None
        key = self._plain(node, depth)
        if isinstance(key, str):
            return key
        self._note(
            f"the name {node.value or 'before the colon'} is not text", node, fix=f"quote it: {quoted(node.value)}"
        )
        return None

    def _scalar(self, node: Node, text: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "-+.0123456789":
            if boolean := _BOOLEAN_TO_SOME.get(text.lower()):
                self._read_two_ways(node, text, boolean, "text", f'write {boolean}, or quote it: "{text}"')
            return text
        if len(text) <= 100:  # some of these patterns take their time on long texts
            if _INTEGER.fullmatch(text) and -(2**63) <= (whole := int(text, 0)) < 2**63:
                return whole
            for pattern, to_older, to_newer in _READ_TWO_WAYS:
                if pattern.fullmatch(text):
                    plain = re.sub(r"_|^[-+]?0+(?=[0-9])", "", text)
                    instead = f"write {plain}, or " if _FLOAT.fullmatch(plain) else ""
                    self._read_two_ways(node, text, to_older, to_newer, f"{instead}quote it: {quoted(text)}")
                    return text
            if _NOT_FINITE.fullmatch(text):
                self._note(
                    f"{text} is not a number that a spec can hold", node, fix=f'as text it is "{text.lstrip(".+")}"'
                )
                return text
        if _INTEGER.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
            self._note(f"{cut(text)} is too large for a number", node, fix="quote it if it is meant as text")
            return text
        return float(text) if _FLOAT.fullmatch(text) else text

    def _read_two_ways(self, node: Node, text: str, to_older: str, to_newer: str, fix: str) -> None:
        self._note(
            f"{text} is {to_older} to some readers of YAML and {to_newer} to others",
            node,
            why="YAML 1.1 and 1.2 differ here, and a spec has to mean one thing",
            fix=fix,
        )


_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: value for value in (True, False) for word in (str(value).lower(), str(value), str(value).upper())
}
_UNFIT = re.compile("[\0\ud800-\udfff]")  # what neither file names nor environments nor UTF-8 can hold
_BOOLEAN_TO_SOME = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_READ_TWO_WAYS = [  # what it looks like, what it is to YAML 1.1, what it is to YAML 1.2
    (re.compile(r"[-+]?0[0-9]+"), "an octal number", "a decimal one"),
    (re.compile(r"0o[0-7]+"), "text", "an octal number"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number", "text"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"), "a number", "text"),
    (re.compile(r"[-+]?[1-9][0-9]*(:[0-5]?[0-9])+(\.[0-9]*)?"), "a number of base 60", "text"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "a date", "text"),
]
