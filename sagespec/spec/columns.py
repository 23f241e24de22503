"""What a channel says of its columns by their names, and the rules for it. All channels of a job have the same columns,
so one of them says it.

`job` has the fields; `resolve` takes from here what the job's key and its container are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, Field

from sagespec.spec.values import quoted, wrong

WITH_NAMES = ("text/csv", "application/x-parquet", "csv", "parquet")  # content types, as they may be spelt

ColumnName = Annotated[str, Field(max_length=1024)]


def _short_form(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


ColumnNames = Annotated[
    tuple[ColumnName, ...],
    BeforeValidator(_short_form, json_schema_input_type=str | tuple[ColumnName, ...]),
    Field(strict=False, max_length=10_000),
]


class NamedColumns(Protocol):
    """The fields of a channel that are looked at here."""

    content_type: str | None
    input_mode: Any
    target: str | None
    drop: tuple[str, ...]
    categorical: tuple[str, ...]
    header: bool | None


FIELDS = ("target", "drop", "categorical")


def has_names(channel: NamedColumns) -> bool:
    return bool(channel.header or any(getattr(channel, field) for field in FIELDS))


def names_said(channel: NamedColumns, field: str) -> tuple[str, ...]:
    """The columns that one of FIELDS names; the order in which they are written does not count."""
    said = getattr(channel, field) or ()
    return (said,) if isinstance(said, str) else tuple(sorted(set(said)))


def columns_said(channels: Iterable[NamedColumns]) -> dict[str, tuple[str, ...]] | None:
    """The columns that each of FIELDS names, for all channels of a job; None where columns have no names."""
    named = [channel for channel in channels if has_names(channel)]
    if not named:
        return None
    return {field: next(filter(None, (names_said(c, field) for c in named)), ()) for field in FIELDS}


def check_channel(channel: NamedColumns) -> None:
    """Raise `wrong` where a channel contradicts itself."""
    if channel.header is False and has_names(channel):
        raise wrong("contradicts the names of columns", "remove it, or the names", at=("header",))
    if channel.target in channel.drop:
        raise wrong(f"names {quoted(channel.target)}, which is the target", "remove it there", at=("drop",))
    if channel.target in channel.categorical:
        fix = "remove it there: text in the target becomes classes anyway"
        raise wrong(f"names {quoted(channel.target)}, which is the target", fix, at=("categorical",))
    if both := set(channel.drop) & set(channel.categorical):
        what = f"names {quoted(min(both))}, and so does drop"
        raise wrong(what, "name it in one of them", at=("categorical",))


def check_job(channels: Mapping[str, NamedColumns], algorithm: str | None, input_mode: str) -> None:
    """Raise `wrong` where names of columns do not go with the job, or with its other channels."""
    named = {name: channel for name, channel in channels.items() if has_names(channel)}
    for name, channel in named.items():
        if not algorithm:
            field = next(field for field in (*FIELDS, "header") if getattr(channel, field))
            what = "is for built-in algorithms: your own program reads its files itself"
            raise wrong(what, "remove it, or name an algorithm", at=("channels", name, field))
    _check_alike(named)
    for name, channel in channels.items() if named else ():
        if (channel.input_mode or input_mode) == "pipe":
            fix = "set input_mode: file on this channel; a pipe does not show where a file begins"
            raise wrong("is in pipe mode, which does not go with names of columns", fix, at=("channels", name))
        kind, _, parameters = (channel.content_type or "").lower().partition(";")
        if kind.strip() not in ("", *WITH_NAMES) or "label_size" in parameters:
            what = f"is {channel.content_type}, which does not go with names of columns"
            fix = f"remove it, or the names: {WITH_NAMES[0]} and {WITH_NAMES[1]} have them"
            raise wrong(what, fix, at=("channels", name, "content_type"))


def _check_alike(named: Mapping[str, NamedColumns]) -> None:
    for field in FIELDS:
        said = {name: names for name, channel in named.items() if (names := names_said(channel, field))}
        first = next(iter(said), "")
        if name := next((name for name, names in said.items() if names != said[first]), ""):
            what = f"differs from that of channel {first}: all channels of a job have the same columns"
            fix = f"remove it: what {first} says holds for all channels"
            raise wrong(what, fix, at=("channels", name, field))
