"""Results as their shapes have them: what is in no shape is left out, and times become what a protocol writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

Scalar = Callable[[str, Any], Any]  # a type of botocore's (timestamp, blob, …) and a value: what is written


def shaped(shape: Shape | None, value: Any, scalar: Scalar) -> Any:
    """`value` with the members that its shape has; None is left out."""
    if isinstance(shape, StructureShape):
        members = ((name, member, value.get(name)) for name, member in shape.members.items())
        return {_sent_as(member, name): shaped(member, one, scalar) for name, member, one in members if one is not None}
    if isinstance(shape, ListShape):
        return [shaped(shape.member, one, scalar) for one in value]
    if isinstance(shape, MapShape):
        return {str(key): shaped(shape.value, one, scalar) for key, one in value.items() if one is not None}
    return {} if shape is None else scalar(shape.type_name, value)


def _sent_as(member: Shape, name: str) -> str:
    serialized: Mapping[str, Any] = member.serialization
    return str(serialized.get("name", name))


def seconds_of(at: datetime | float) -> float:
    """Seconds since 1970, to the millisecond."""
    return round(at.timestamp() if isinstance(at, datetime) else float(at), 3)
