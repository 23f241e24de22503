"""Channels whose columns have names, as the arrays that algorithms learn from.

The names in all files are compared first (`named_layout`), so that columns may stand in another order in another file.
Then each host reads its rows (`named_values`), all agree on what the training channel's columns mean (`columns`), and
every channel is turned into numbers by that. So N hosts learn the mapping of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.columns import MOST_CATEGORIES, Column, Columns, Wanted, listed
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.limits import TooLarge, require_room
from toolkit.named_layout import Layout, layout_of
from toolkit.named_troubles import classes_alike, fix_of_too_many
from toolkit.named_values import MOST_CLASSES, Codes, Gathered, gathered_from
from toolkit.reading import InputFormat, together
from toolkit.rows import FloatArray
from toolkit.spellings import spelling_of_column
from toolkit.training import Channel

AN_ID_FROM_ROWS = 100


@dataclass(frozen=True)
class NamedTable:
    """labels: (rows,), or (0,) where a channel has none; features: (rows, width)."""

    labels: FloatArray
    features: FloatArray
    content_type: str
    label_column: str = ""


def read_named(
    hosts: Hosts, channels: Sequence[Channel], wanted: Wanted, input_format: InputFormat
) -> tuple[Columns, list[NamedTable]]:
    """The tables of `channels`, and what the columns of the first of them mean.

    Raises ClientError, on every host, for what is wrong on one.
    """
    if input_format.csv_weights:
        raise ClientError("hyperparameters: csv_weights=1 does not go with named columns")
    named, layout = layout_of(hosts, channels, wanted, input_format)
    gathered = together(hosts, lambda: [gathered_from(channel, layout) for channel in named])
    if hosts.largest(gathered[0].row_count) == 0:
        raise ClientError(f"{gathered[0].place} has no rows below its header line")
    columns = Columns(
        _features(hosts, gathered[0], layout, allow_missing=input_format.allow_missing),
        wanted.target,
        wanted.drop,
        _classes(hosts, gathered[0], layout),
    )
    if columns.classes and input_format.quantities:
        spelling = spelling_of_column(columns.classes)
        raise ClientError(
            f"{gathered[0].place}: {layout.target}: labels are text, as {listed(map(repr, columns.classes), 2)}, "
            + (f"with {spelling}" if spelling else f"but {input_format.quantities}")
        )
    _check_classes(gathered[0], layout, columns.classes, input_format)
    if hosts.is_master:
        print(_described(columns), flush=True)
        _notice_ids(gathered[0], layout)
        if alike := classes_alike(columns.classes):
            print(f"{gathered[0].place}: {alike}", flush=True)
        for some in gathered:
            if some.decimal_commas:
                print(f"{some.place}: commas are read as decimal points in {listed(some.decimal_commas)}", flush=True)
    tables = together(hosts, lambda: [_table(some, columns, str(layout.target or "")) for some in gathered])
    _require_labels_of_all(hosts, gathered, tables, layout)
    return columns, tables


def _require_labels_of_all(
    hosts: Hosts, gathered: Sequence[Gathered], tables: Sequence[NamedTable], layout: Layout
) -> None:
    """Raise ClientError where some files of a channel have the target and others, here or on other hosts, have not."""
    problem = None
    for some, table in zip(gathered, tables, strict=True):
        if hosts.any(len(table.labels) > 0) and len(table.labels) < some.row_count:
            problem = f"{some.place}: some files have {layout.target}, the target, and some do not"
    hosts.fail_together(problem)


def _features(hosts: Hosts, train: Gathered, layout: Layout, *, allow_missing: bool) -> tuple[Column, ...]:
    """The columns with what was learned on the training rows of all hosts."""
    own = {name: sorted(codes.texts) for name, codes in train.codes.items()}
    seen = hosts.each(own) if layout.texts else []
    numeric = [column for column in layout.features if column.categories is None]
    fills = dict(zip(numeric, _fills(hosts, train, numeric, allow_missing=allow_missing), strict=True))
    features: list[Column] = []
    for column in layout.features:
        if column.categories is None:
            features.append(replace(column, fill=fills[column]))
            continue
        categories = sorted({text for texts in seen for text in texts.get(column.name, ()) if text})
        if len(categories) > MOST_CATEGORIES:
            raise ClientError(
                f"{train.place}: {column}: more than {MOST_CATEGORIES:,} different values; "
                f"{fix_of_too_many(categories, is_label=False)}"
            )
        if not categories:
            raise ClientError(f"{train.place}: {column}: all its values are missing; drop it")
        features.append(replace(column, categories=tuple(categories)))
    return tuple(features)


def _fills(hosts: Hosts, train: Gathered, columns: Sequence[Column], *, allow_missing: bool) -> list[float]:
    """What a missing number of each column counts as: nothing, or the mean of those that are there."""
    facts = np.zeros((len(columns), 3))
    for row, column in enumerate(columns):
        numbers = train.of(column.name)
        present = numbers[~np.isnan(numbers)]
        facts[row] = math.fsum(present), len(present), len(numbers) - len(present)
    totals = hosts.from_master(facts if train.channel.channel.replicated else hosts.sum(facts))
    fills = []
    if (
        allow_missing
        and hosts.is_master
        and (gaps := {c.name: n for c, (_, _, n) in zip(columns, totals, strict=True) if n})
    ):
        print(
            f"missing values stay missing: {listed(f'{name} ({count:,.0f})' for name, count in gaps.items())}",
            flush=True,
        )
    for column, (total, count, missing) in zip(columns, totals.tolist(), strict=True):
        if not count and not allow_missing:
            raise ClientError(f"{train.place}: {column}: all its values are missing; drop it")
        # Rounded, since the sum of parts differs in the last digit from the sum of all.
        fills.append(math.nan if allow_missing else float(f"{total / count:.12g}"))
        if missing and not allow_missing and hosts.is_master:
            print(f"{column}: {missing:g} missing values count as the mean, {fills[-1]:g}", flush=True)
    return fills


def _classes(hosts: Hosts, train: Gathered, layout: Layout) -> tuple[str, ...]:
    """The names of the labels 0, 1, … in the order of the alphabet; none where labels are numbers."""
    if layout.target is None:
        return ()
    facts = hosts.each((bool(train.labels), sorted(train.classes.texts)))
    classes = tuple(sorted({text for _, texts in facts for text in texts}))
    if classes and any(has_numbers for has_numbers, _ in facts):
        raise ClientError(
            f"{layout.target}: labels are numbers, or True and False, in some files, and text in others, "
            f"as {classes[0]!r}"
        )
    if len(classes) > MOST_CLASSES:
        fix = fix_of_too_many(classes, is_label=True)
        raise ClientError(f"{layout.target}: more than {MOST_CLASSES:,} different labels; {fix}")
    return classes


def _check_classes(train: Gathered, layout: Layout, classes: Sequence[str], input_format: InputFormat) -> None:
    """Raise ClientError for more classes than the algorithm can take."""
    if not classes or not input_format.label_rule:
        return
    if misfit := input_format.label_rule(np.arange(len(classes), dtype=np.float64)):
        alike = classes_alike(classes)
        raise ClientError(
            f"{train.place}: {layout.target}: there are {len(classes)} classes, {listed(map(repr, classes), 5)}, and "
            f"{misfit[1]}" + (f"; {alike}" if alike else "")
        )


def _table(gathered: Gathered, columns: Columns, label_column: str) -> NamedTable:
    name, row_count = gathered.channel.channel.name, gathered.row_count
    try:
        require_room(8 * row_count * columns.width, f"channel {name}: {row_count} rows of {columns.width} features")
    except TooLarge as error:
        raise ClientError(str(error)) from error
    features = np.empty((row_count, columns.width))
    start = 0
    for column in columns.features:
        part = features[:, start : start + column.width]
        start += column.width
        if column.categories is None:
            part[:] = column.features(gathered.of(column.name))
            continue
        codes = gathered.codes.get(column.name, Codes())
        part[:] = column.marked(codes.places_in(column.places))
        if unknown := sorted(text for text in codes.texts if text and text not in column.places):
            print(f"{name}: {column}: not in the training data: {listed(map(repr, unknown), 3)}", flush=True)
    return NamedTable(_labels(gathered, columns), features, gathered.channel.content_type, label_column)


def _labels(gathered: Gathered, columns: Columns) -> FloatArray:
    name, texts = gathered.channel.channel.name, gathered.classes.texts
    order = {text: place for place, text in enumerate(columns.classes)}
    if gathered.labels and order:
        are_truths = all(np.isin(labels, (0, 1)).all() for labels in gathered.labels)
        what = "numbers, or True and False" if are_truths else "numbers"
        raise ClientError(f"channel {name}: labels are {what}, but in training they are {listed(order, 5)}")
    if unknown := sorted(text for text in texts if text not in order):
        there = f"only {listed(order, 5)}" if order else "only numbers"
        raise ClientError(
            f"channel {name}: the label {unknown[0]!r} is not in the training data, where there are {there}"
        )
    if texts:
        return gathered.classes.places_in(order).astype(np.float64)
    return np.concatenate(gathered.labels) if gathered.labels else np.empty(0)


def _described(columns: Columns) -> str:
    """One line on what was learned."""
    texts = [
        column.name if column.categories is None else f"{column.name} ({len(column.categories)} values)"
        for column in columns.features
    ]
    label = f"; target {columns.target}" if columns.target else ""
    names = ", ".join(f"{place} = {name}" for place, name in enumerate(columns.classes[:20]))
    label += f" ({names})" if names else ""
    dropped = f"; dropped {listed(columns.dropped)}" if columns.dropped else ""
    features = f" as {columns.width} features" if columns.width > len(texts) else ""
    return f"learns from {len(texts)} columns{features}: {listed(texts, 50)}{label}{dropped}"


def _notice_ids(train: Gathered, layout: Layout) -> None:
    """A word on whole numbers that are all different: nothing general can be learned from them."""
    for column in layout.features:
        numbers = train.of(column.name)
        if len(numbers) < AN_ID_FROM_ROWS or np.isnan(numbers).any() or (numbers != np.floor(numbers)).any():
            continue
        if len(np.unique(numbers)) == len(numbers):
            print(f"{column} has another whole number in each row; if it is an id, name it under drop", flush=True)
