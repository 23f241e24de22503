"""Hyperparameters declared as a frozen dataclass, and read from SageMaker's flat strings.

A field's type and default are its declaration; `Annotated` adds a range and a sentence of help:

    eta: Annotated[float, Range(0, 1), "Step size shrinkage"] = 0.3
    metrics: Annotated[tuple[str, ...], Words(("auc", "error@")), "What to print"] = ()

`read` turns the strings of hyperparameters.json into such a dataclass, or names every mistake at
once. `describe` gives the same declaration as plain data, for the image's image.json. A field
without a default is required; a trailing underscore (`lambda_`) is not part of the name.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from toolkit.errors import ClientError

Auto: TypeAlias = Literal["auto"]  # as an alternative to a number: the algorithm chooses

PLATFORM_NAMES = ("sagemaker_", "_tuning_")  # added by the platform and its clients, not by the user


@dataclass(frozen=True)
class Declaration:
    """The base of all declarations.

    IGNORED: hyperparameters of the hosted algorithm that are accepted without effect, each with the reason. Their use
    is printed, so that a hosted job's settings work unchanged and mislead no one.
    """

    IGNORED: ClassVar[Mapping[str, str]] = {}


H = TypeVar("H", bound=Declaration)


@dataclass(frozen=True)
class Range:
    """The numbers allowed: `minimum` and `maximum` are allowed themselves, `above` and `below` not."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        words = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}
        return " and ".join(f"{words[name]} {limit:g}" for name, limit in self.limits().items())

    def limits(self) -> dict[str, float]:
        given = {name: getattr(self, name) for name in ("minimum", "above", "maximum", "below")}
        return {name: limit for name, limit in given.items() if limit is not None}


@dataclass(frozen=True)
class Words:
    """What a list may hold: some of these words. One that ends in @ is followed by a number: `error@0.3`."""

    known: tuple[str, ...]

    def refuse_others(self, words: Sequence[str]) -> None:
        """Raises ValueError for the first that is none of them."""
        for word in words:
            start, at, number = word.partition("@")
            if word not in self.known and not (start + at in self.known and _is_number(number)):
                raise ValueError(f"{word or 'an empty word'} is unknown; {_suggestion(word, self.known)}")


def words_in(text: str) -> tuple[str, ...]:
    """The words of a list, as JSON or separated by commas.

    >>> words_in('["auc", "error@0.3"]') == words_in("auc,error@0.3") == words_in("[auc, error@0.3]")
    True
    """
    inside = text.strip().removeprefix("[").removesuffix("]")
    return tuple(word.strip().strip("\"'").strip() for word in inside.split(","))


@dataclass(frozen=True)
class Field:
    """One hyperparameter, as its dataclass field declares it."""

    name: str
    attribute: str
    kind: type
    choices: tuple[str, ...]  # of a tuple: the words it may hold
    range: Range
    required: bool
    default: Any
    help: str

    def parse(self, text: str) -> Any:
        """The value of `text`; a ValueError says what it must be."""
        text = _without_quotes(text)
        if self.kind is tuple:
            Words(self.choices).refuse_others(words := words_in(text))
            return words
        if text in self.choices:
            return text
        if self.kind is str and self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        if self.kind is str:
            return text
        return self._parse_flag(text) if self.kind is bool else self._parse_number(text)

    def _parse_flag(self, text: str) -> bool:
        flags = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in flags:
            raise ValueError(f"must be true or false{self._or_choices()}")
        return flags[text.lower()]

    def _parse_number(self, text: str) -> float:
        noun = "a whole number" if self.kind is int else "a number"
        try:
            value = self.kind(text)
            finite = value - value == 0
        except ValueError:
            finite = False
        if not finite:
            raise ValueError(f"must be {noun}{self._or_choices()}")
        if not self.range.holds(value):
            raise ValueError(f"must be {self.range}{self._or_choices()}")
        return value  # type: ignore[no-any-return]

    def _or_choices(self) -> str:
        return "".join(f" or {choice}" for choice in self.choices)


def read(declaration: type[H], given: Mapping[str, str]) -> H:
    """`declaration` filled with the values `given`.

    Raises ClientError that names every unknown name, missing name and bad value.
    """
    fields = {field.name: field for field in fields_of(declaration)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in sorted(given.items()):
        if name in fields:
            try:
                values[fields[name].attribute] = fields[name].parse(text)
            except ValueError as error:
                problems.append(f"{name}={text}: {error}")
        elif name in declaration.IGNORED:
            print(f"hyperparameter {name} has no effect: {declaration.IGNORED[name]}", flush=True)
        elif not name.startswith(PLATFORM_NAMES):
            problems.append(f"{name} is unknown; {_suggestion(name, fields)}")
    problems += [
        f"{field.name} is required: {field.help}"
        for field in fields.values()
        if field.required and field.name not in given
    ]
    if problems:
        raise ClientError("hyperparameters: " + "; ".join(problems))
    return declaration(**values)


def describe(declaration: type[Declaration]) -> dict[str, dict[str, Any]]:
    """The declaration as JSON data: name to type, required, default, limits, choices, description."""
    return {field.name: dict(_facts(field)) for field in fields_of(declaration)}


def fields_of(declaration: type[Declaration]) -> list[Field]:
    hints = get_type_hints(declaration, include_extras=True)
    return [_field(field, hints[field.name]) for field in dataclasses.fields(declaration)]


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    notes: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    kinds = [kind for kind in _alternatives(hint) if kind is not NoneType]
    literals = [kind for kind in kinds if get_origin(kind) is Literal]
    plain = [kind for kind in kinds if get_origin(kind) is not Literal]
    words = next((note for note in notes if isinstance(note, Words)), None)
    return Field(
        name=field.name.rstrip("_"),
        attribute=field.name,
        kind=(get_origin(plain[0]) or plain[0]) if plain else str,
        choices=words.known if words else tuple(choice for literal in literals for choice in get_args(literal)),
        range=next((note for note in notes if isinstance(note, Range)), Range()),
        required=field.default is dataclasses.MISSING,
        default=None if field.default is dataclasses.MISSING else field.default,
        help=next((note for note in notes if isinstance(note, str)), ""),
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type; `Annotated` is looked through."""
    inner = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    return (inner,) if get_origin(inner) in (None, Literal, tuple) else get_args(inner)


def _facts(field: Field) -> Iterator[tuple[str, Any]]:
    yield "type", {int: "integer", float: "number", bool: "boolean", str: "string", tuple: "list"}[field.kind]
    yield "required", field.required
    if field.default is not None:
        yield "default", field.default
    yield from field.range.limits().items()
    if field.choices:
        yield "choices", list(field.choices)
    yield "description", field.help


def _without_quotes(text: str) -> str:
    """SageMaker's script-mode clients JSON-encode each value, so a string may arrive in quotes."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text.strip()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
