"""A document as YAML that reads as if a person had written it: short maps and lists in one line, the rest in blocks.

How a value is quoted is PyYAML's affair; what stands on one line is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

WIDTH = 110  # of a line, where it can be kept
# To one of YAML's versions: 1e-3 is one to 1.2 alone. Durations, sizes and relative paths are none to any.
_MAY_BE_A_NUMBER = re.compile(r"(?!\d+(?:\.\d+)?(?:ms|[smhd]|[KMGT]i?B)\Z)(?!\.\.?/)[-+.0-9]")


def emit(document: Mapping[str, Any], *, heading: Sequence[str] = (), notes: Mapping[str, str] | None = None) -> str:
    """The text of one document, ending in a line break; its fields keep their order. heading: comments above it.
    notes: comments behind values, by their paths ("variants.0.weight"); each of these has a line of its own.

    >>> print(emit({"kind": "TrainingJob", "channels": {"train": "s3://b/k", "n": 5}}), end="")
    kind: TrainingJob
    channels: {train: 's3://b/k', n: 5}
    >>> print(emit({"resources": {"cpus": 2, "gpus": 1}}, notes={"resources.cpus": "raised"}), end="")
    resources:
      cpus: 2  # raised
      gpus: 1
    """
    comments = [f"# {_one_line(line)}".rstrip() for line in heading]
    return "\n".join([*comments, *_Writer(notes or {}).fields(document, "", "")]) + "\n"


@dataclass(frozen=True)
class _Writer:
    notes: Mapping[str, str]

    def fields(self, document: Mapping[str, Any], indent: str, path: str) -> list[str]:
        lines: list[str] = []
        for key, value in document.items():
            here = f"{path}.{key}" if path else key
            start = f"{indent}{in_braces(key)}:"
            short = f"{start} {_block(value)}{self._note(here)}"
            is_long = _is_long(value) and here not in self.notes
            if not is_long and not self._is_within(here) and (len(short) <= WIDTH or not _is_nested(value)):
                lines.append(short)
            elif isinstance(value, Mapping):
                lines += [f"{start}{self._note(here)}", *self.fields(value, f"{indent}  ", here)]
            else:
                lines += [f"{start}{self._note(here)}", *self._items(value, f"{indent}  ", here)]
        return lines

    def _items(self, values: Sequence[Any], indent: str, path: str) -> list[str]:
        lines: list[str] = []
        for number, value in enumerate(values):
            here = f"{path}.{number}"
            short = f"{indent}- {_block(value)}{self._note(here)}"
            if isinstance(value, Mapping) and value and (len(short) > WIDTH or self._is_within(here)):
                first, *others = self.fields(value, f"{indent}  ", here)
                lines += [f"{indent}- {first.lstrip()}", *others]
            else:
                lines.append(short)
        return lines

    def _note(self, path: str) -> str:
        return f"  # {_one_line(self.notes[path])}" if path in self.notes else ""

    def _is_within(self, path: str) -> bool:
        """Whether a value inside of this one has a note."""
        return any(noted.startswith(f"{path}.") for noted in self.notes)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _is_long(value: Any) -> bool:
    """Whether it is better not written on one line, however short: it holds maps or lists."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(_is_nested(one) for one in inner)


def _block(value: Any) -> str:
    """A value on the rest of a line: a text needs fewer quotes there than inside of braces."""
    return _scalar(value, is_flow=False) if isinstance(value, str) and value.isprintable() else in_braces(value)


def in_braces(value: Any) -> str:
    """A value on one line, quoted as it must be inside of braces."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{in_braces(key)}: {in_braces(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(in_braces, value)) + "]"
    return _scalar(value, is_flow=True)


@lru_cache(4096, typed=True)
def _scalar(value: Any, *, is_flow: bool) -> str:
    style = "'" if isinstance(value, str) and _MAY_BE_A_NUMBER.match(value) else None
    text: str = yaml.safe_dump(
        [value], default_flow_style=is_flow, default_style=style, width=float("inf"), allow_unicode=True
    )
    return text.strip()[1:-1] if is_flow else text[2:].rstrip("\n")


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
