"""Part: an attribute that is made when it is first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast, overload

Value = TypeVar("Value")


class Made(Protocol):
    """What has such attributes, and keeps them."""

    def made(self, part: object, make: Callable[[Any], object]) -> object: ...


class Part(Generic[Value]):
    """An attribute of `parts.Parts` that is made when first read and kept until the settings change."""

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, parts: None, owner: type) -> Part[Value]: ...
    @overload
    def __get__(self, parts: Made, owner: type) -> Value: ...
    def __get__(self, parts: Made | None, owner: type) -> Part[Value] | Value:
        if parts is None:
            return self
        return cast("Value", parts.made(self, self._make))
