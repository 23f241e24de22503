"""A request held against AWS's model of its operation, in the words that SageMaker uses for what is wrong.

What the model does not know is left in peace, as AWS does: a client may be newer than our model. For the same reason
an instance type need not be in the model's list: it must only look like one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from sagespec.api.errors import ApiError
from sagespec.spec.project import INSTANCE_TYPE

LONGEST_SHOWN = 250  # characters of a value
MOST_SHOWN = 20  # problems of one request
LAST_SECOND = 253_402_300_799  # of the year 9999
_NUMBERS = {"integer": int, "long": int, "float": float, "double": float}
# Classes of letters that Java's expressions have and Python's lack; those of Python take more.
_JAVA_CLASSES = ((r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s"), (r"\p{M}", r"\w"), (r"\p{P}", r"\W"))


def check(operation: OperationModel, request: Mapping[str, Any]) -> None:
    """ApiError, with all that is wrong, when the model does not allow the request."""
    if operation.input_shape is None:
        return
    _check_types(operation.input_shape, request, operation.name)
    problems = list(_problems(operation.input_shape, request, ""))
    if problems:
        errors = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise ApiError("ValidationException", f"{errors}: {'; '.join(problems[:MOST_SHOWN])}")


def _check_types(shape: Shape, value: Any, name: str) -> None:
    """What cannot even be read: a list where a name should be."""
    fits: bool
    if isinstance(shape, StructureShape | MapShape):
        fits = isinstance(value, Mapping)
    elif isinstance(shape, ListShape):
        fits = isinstance(value, list | tuple)
    elif isinstance(shape, StringShape):
        fits = isinstance(value, str)
    elif shape.type_name in _NUMBERS:
        whole = _NUMBERS[shape.type_name] is int
        fits = _is_number(value) and (not whole or value == value // 1)
    elif shape.type_name == "timestamp":
        fits = _is_number(value) and 0 <= value <= LAST_SECOND
    else:
        fits = not isinstance(value, Mapping | list) and (shape.type_name != "boolean" or isinstance(value, bool))
    if not fits:
        raise ApiError("SerializationException", f"{name} must be a {shape.type_name}, not {_shown(value)}")
    for member, one, inner in _inside(shape, value, name):
        if one is not None:
            _check_types(member, one, inner)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _inside(shape: Shape, value: Any, name: str) -> Iterator[tuple[Shape, Any, str]]:
    if isinstance(shape, StructureShape):
        yield from ((one, value.get(key), key) for key, one in shape.members.items() if key in value)
    elif isinstance(shape, MapShape):
        yield from ((shape.value, one, f"{name}.{key[:60]}") for key, one in value.items())
    elif isinstance(shape, ListShape):
        yield from ((shape.member, one, f"{name}[{index}]") for index, one in enumerate(value))


def _problems(shape: Shape, value: Any, place: str) -> Iterator[str]:
    """Value 'x' at 'place' failed to satisfy constraint: …, for each of them. value: of the right type, or None."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            inner = f"{place}.{_lowered(name)}" if place else _lowered(name)
            if value.get(name) is not None:
                yield from _problems(member, value[name], inner)
            elif name in shape.required_members:
                yield _problem("null", inner, "Member must not be null")
        return
    yield from (_problem(f"'{_shown(value)}'", place, text) for text in _broken(shape, value))
    if isinstance(shape, ListShape):
        for number, item in enumerate(value, start=1):
            yield from _problems(shape.member, item, f"{place}.{number}.member")
    elif isinstance(shape, MapShape):
        yield from _problems_of_map(shape, value, place)


def _problems_of_map(shape: MapShape, value: Mapping[str, Any], place: str) -> Iterator[str]:
    for key, one in value.items():
        if keys := list(_broken(shape.key, key)):
            yield _problem(f"'{_shown(key)}'", place, f"Map keys must satisfy constraint: [{', '.join(keys)}]")
        if one is None:
            continue
        if not isinstance(shape.value, StringShape):
            yield from _problems(shape.value, one, f"{place}.{key[:60]}.member")
        elif values := list(_broken(shape.value, one)):
            yield _problem(f"'{_shown(one)}'", place, f"Map value must satisfy constraint: [{', '.join(values)}]")


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    """The constraints that a value alone breaks. One that is too long is not searched for a pattern."""
    least, most, measured = shape.metadata.get("min"), shape.metadata.get("max"), "length"
    if shape.type_name in _NUMBERS:
        size, measured = value, "value"
    elif isinstance(value, str | list | tuple | Mapping):
        size = len(value)
    else:
        return
    if most is not None and size > most:
        yield f"Member must have {measured} less than or equal to {most}"
        return
    if least is not None and size < least:
        yield f"Member must have {measured} greater than or equal to {least}"
    if not isinstance(shape, StringShape):
        return
    pattern = _compiled(shape.metadata.get("pattern", ""))
    if pattern and not pattern.fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}"
    if shape.enum and value not in shape.enum and not _may_be_newer(shape, value):
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _may_be_newer(shape: Shape, value: str) -> bool:
    return shape.name.endswith("InstanceType") and INSTANCE_TYPE.fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    for theirs, ours in _JAVA_CLASSES:
        pattern = pattern.replace(theirs, ours)
    try:
        return re.compile(pattern) if pattern else None
    except re.error:  # Java's own
        return None


def _problem(value: str, place: str, constraint: str) -> str:
    return f"Value {value} at '{place}' failed to satisfy constraint: {constraint}"


def _lowered(name: str) -> str:
    return name[:1].lower() + name[1:]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
