"""Which columns the files of a job have, by what the spec says of them; all that can be said before a row is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from toolkit.columns import Column, Wanted, as_yaml, listed, number_of, shown, suggestion
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.media import CSV, PARQUET
from toolkit.named_files import names_in
from toolkit.parquet import index_names
from toolkit.places import Place
from toolkit.reading import FILE_FORMATS, InputFormat, content_type_of, together
from toolkit.rows import BadRow
from toolkit.streams import streams
from toolkit.training import Channel

SHOWN_OF_A_ROW = 3
NO_HEADER = "does the file have no header line?"
OF_PANDAS = "is the index of pandas, which is not read; before writing the file, make it a column with reset_index()"

Names = tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """What a file says of its columns. index: those that pandas keeps for its index.

    may_be_a_row: some of the names are numbers or the same, as in a file without a header line.
    """

    names: Names
    index: Names = ()
    may_be_a_row: bool = False


_Files = list[tuple[Place, Header]]


@dataclass(frozen=True)
class NamedChannel:
    """A channel, and as what its files are read."""

    channel: Channel
    content_type: str

    @property
    def is_parquet(self) -> bool:
        return self.content_type == PARQUET

    def names(self) -> _Files:
        """The names of the columns of each file. Raises ClientError."""
        found: _Files = []
        for path, stream in streams(self.channel):
            place = Place.of(self.channel, path, FILE_FORMATS[self.content_type].before_row)
            try:
                found.append((place, self._header(stream)))
            except BadRow as error:
                raise ClientError(error.at(place)) from error
        return found

    def _header(self, stream: BinaryIO) -> Header:
        names = names_in(stream, is_parquet=self.is_parquet)
        if self.is_parquet:
            return Header(names, index_names(stream))
        return Header(names, may_be_a_row=len(set(names)) < len(names) or any(map(_is_number, names)))


@dataclass(frozen=True)
class Layout:
    """The columns that are learned from, and the label's, with their places in the first training file.

    categories of a column are () before they are known. known: all columns of that file.
    """

    features: tuple[Column, ...]
    target: Column | None
    needs_target: bool
    known: frozenset[str]

    @property
    def texts(self) -> frozenset[str]:
        """The columns whose values are wanted as they are written."""
        return frozenset(column.name for column in self.features if column.categories is not None)

    @property
    def needed(self) -> list[Column]:
        return [*self.features, *((self.target,) if self.target and self.needs_target else ())]


def layout_of(
    hosts: Hosts, channels: Sequence[Channel], wanted: Wanted, input_format: InputFormat
) -> tuple[list[NamedChannel], Layout]:
    """The channels' types and columns, the same on every host. Raises ClientError, on all if on one."""
    types = [content_type_of(hosts, channel) for channel in channels]
    named = [NamedChannel(channel, kind.name if kind else CSV) for channel, kind in zip(channels, types, strict=True)]
    together(hosts, lambda: [_checked(some) for some in named])
    own = together(hosts, lambda: [some.names() for some in named])
    first = hosts.first(own[0][0] if own[0] else None)
    if first is None:
        raise ClientError(f"channel {channels[0].name} has no files")
    place, header = first
    _check_wanted(place, header, wanted, needs_labels=input_format.needs_labels)
    layout = _layout(place, header.names, wanted, needs_labels=input_format.needs_labels)
    together(hosts, lambda: [_fitting(files, layout, is_train=files is own[0]) for files in own])
    return named, layout


def _checked(some: NamedChannel) -> NamedChannel:
    """The channel, if its files can have names. Raises ClientError."""
    if some.content_type not in (CSV, PARQUET):
        raise ClientError(
            f"channel {some.channel.name}: the columns of {some.content_type} have no names that target, drop and "
            f"categorical could mean; those of {CSV} (with a header line) and {PARQUET} have"
        )
    if some.channel.is_pipe:
        raise ClientError(f"channel {some.channel.name}: named columns are not read from a pipe; use input mode File")
    return some


def _layout(place: Place, names: Names, wanted: Wanted, *, needs_labels: bool) -> Layout:
    passed_over = {*wanted.drop, wanted.target}
    features = tuple(
        Column(name, number, () if name in wanted.categorical else None)
        for number, name in enumerate(names, 1)
        if name not in passed_over
    )
    if not features:
        raise ClientError(f"{place}: no column is left to learn from; its columns are {listed(names)}")
    target = Column(wanted.target, names.index(wanted.target) + 1) if wanted.target else None
    return Layout(features, target, needs_labels, frozenset(names))


def _check_wanted(place: Place, header: Header, wanted: Wanted, *, needs_labels: bool) -> None:
    """Raise ClientError where the spec names a column that is not there, or none for the label."""
    names = header.names
    asked = [name for some in wanted.named.values() for name in some]
    if header.may_be_a_row and not any(name in names or suggestion(name, names, "none") != "none" for name in asked):
        said = next((f"{what} names {some[0]!r}" for what, some in wanted.named.items() if some), "columns have names")
        first = ", ".join(map(shown, names[:SHOWN_OF_A_ROW])) + (", …" if len(names) > SHOWN_OF_A_ROW else "")
        raise ClientError(
            f"{place.row(1)}: {said}, but the first line holds values: {first}; does the file have no header line? "
            "Put one in front"
        )
    _check_unique(place, names, wanted.drop)
    for what, some in wanted.named.items():
        for name in some:
            if name in header.index and what != "drop":
                raise ClientError(f"{place}: {name!r}, which {what} names, {OF_PANDAS}")
            if name not in names and name not in header.index:
                raise ClientError(
                    f"{place}: there is no column {name!r}, which {what} names; {suggestion(name, names)}"
                )
    if needs_labels and wanted.target is None:
        raise ClientError(
            f"{place}: this algorithm learns from labels; name their column in the spec, as target: "
            f"{as_yaml(names[-1])}; the columns are {listed(names)}"
        )


def _is_number(name: str) -> bool:
    try:
        return not math.isnan(number_of(name))
    except ValueError:
        return False


def _check_unique(place: Place, names: Names, dropped: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if name in seen and name not in dropped:
            raise ClientError(
                f"{place.row(1)}: columns {seen[name]} and {number} are both called {name!r}; rename one of them, "
                "or drop both"
            )
        if not name and name not in dropped:
            raise ClientError(
                f"{place.row(1)}: column {number} has no name; name it, or drop it as drop: ['']"
                " (pandas writes its index so: to_csv(index=False) leaves it out)"
            )
        seen[name] = number


def _fitting(files: _Files, layout: Layout, *, is_train: bool) -> _Files:
    """The files, if they have the columns that are needed. Raises ClientError."""
    for place, header in files:
        names = header.names
        more = [name for name in names if name not in layout.known]
        missing = [column.name for column in layout.needed if column.name not in names]
        if missing:
            hint = suggestion(missing[0], more, f"its columns are {listed(names)}")
            hint = f"{missing[0]!r} {OF_PANDAS}" if missing[0] in header.index else hint
            hint = NO_HEADER if header.may_be_a_row and not any(name in layout.known for name in names) else hint
            which = (
                f"is no column {missing[0]!r}" if len(missing) == 1 else f"are no columns {listed(map(repr, missing))}"
            )
            raise ClientError(f"{place}: there {which}, which the first training file has; {hint}")
        doubled = [column.name for column in layout.needed if names.count(column.name) > 1]
        if doubled:
            raise ClientError(f"{place}: two columns are called {doubled[0]!r}; rename one of them")
        if more and is_train:
            raise ClientError(f"{place}: the first training file has no column {more[0]!r}; name it under drop")
        if more:
            print(f"{place}: passed over, as the training data have no such columns: {listed(more)}", flush=True)
    return files
