"""How a value is seen by people: as whoever talks to them writes it, which is above all values and so is named late.

`show` knows how plans, states and records are written. A `Project` sets it here when it is opened; from then on the
values print themselves that way, in a terminal as text and in a notebook as HTML, too. Before that they are data.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Protocol


class Display(Protocol):
    """None for what it does not know."""

    def text(self, value: object) -> str | None: ...

    def html(self, value: object) -> str | None: ...


_displays: list[Display] = []  # one, once there is one


def show_values_with(display: Display) -> None:
    _displays[:] = [display]


class Displayed:
    """A value that people see as text or HTML. Programs read its fields."""

    __slots__ = ()

    def __str__(self) -> str:
        written = next((display.text(self) for display in _displays), None)
        return self.as_plain_text() if written is None else written

    __repr__ = __str__

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        return next((display.html(self) for display in _displays), None)

    def as_plain_text(self) -> str:
        """Where nobody talks to people."""
        if not is_dataclass(self):
            return super().__repr__()
        given = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
        return f"{type(self).__name__}({', '.join(given)})"


def minute_text(at: datetime) -> str:
    """A time for people, the same everywhere and for everybody: those who read it may be in two places.

    >>> minute_text(datetime.fromisoformat("2026-12-01T13:00:59+02:00"))
    '2026-12-01 11:00 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def second_text(at: datetime) -> str:
    """The same to the second.

    >>> second_text(datetime.fromisoformat("2026-12-01T13:00:59+02:00"))
    '2026-12-01 11:00:59 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
