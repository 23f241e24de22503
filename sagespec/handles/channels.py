"""What `train` is given as data, as the channels of a document. Frames are written to files of the project, named by
their content: the same frame is the same file, so the same cell run again trains nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sagespec.errors import SpecError, disk_problems
from sagespec.frames import csv_of, is_frame, is_other_table
from sagespec.handles.frames import Digest, checked, text_columns
from sagespec.load.files import holds

Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Channel:
    """One input of a job, where it is more than its data: a frame, a path (from the working folder) or s3://….

    The other fields are those of a channel in a spec: docs/spec.md.
    """

    data: Any
    content_type: str | None = None
    target: str | None = None
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    header: bool | None = None
    distribution: Literal["replicated", "sharded"] | None = None
    input_mode: Literal["file", "fastfile", "pipe"] | None = None
    data_type: Literal["prefix", "manifest"] | None = None
    compression: Literal["none", "gzip"] | None = None
    record_wrapper: Literal["none", "recordio"] | None = None
    shuffle_seed: int | None = None
    writable: bool | None = None

    def as_document(self, source: str) -> dict[str, Any]:
        """The channel of a document, with what was said of it."""
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "data"}
        said = {name: value for name, value in named.items() if value is not None and value != ()}
        return {"source": source} | {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


@dataclass
class Files:
    """The files of frames that one call of `train` has written: taken back when it comes to nothing."""

    made: list[Path] = field(default_factory=list)

    def take_back(self) -> None:
        for path in self.made:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Table:
    """What holds for all channels of a job: the columns, and whether a built-in algorithm reads them by name."""

    is_builtin: bool
    target: str | None = None
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()


def channels_of(data: Any, *, table: Table, folder: Path, spec_folder: Path, files: Files) -> dict[str, Any]:
    """The channels of a document in `spec_folder`. data: by channel, or the training data alone. folder: for frames."""
    given = data if isinstance(data, Mapping) else {"train": data}
    channels = {name: _as_channel(name, value) for name, value in given.items()}
    first = "train" if "train" in channels else next(iter(channels), "")
    documents: dict[str, Any] = {}
    for name, channel in channels.items():
        if is_frame(channel.data):
            path, categorical = _write(name, channel, table, folder, files)
            document = channel.as_document(place(path, spec_folder))
        else:
            source = given_place(channel.data, f"channel {name}", spec_folder)
            document, categorical = channel.as_document(source), []
        if name == first:
            document = _with_columns(document, table, categorical, is_frame=is_frame(channel.data))
        documents[name] = document if len(document) > 1 else document["source"]
    return documents


def _as_channel(name: str, value: Any) -> Channel:
    channel = _from_map(name, value) if isinstance(value, Mapping) else value
    channel = channel if isinstance(channel, Channel) else Channel(channel)
    if package := is_other_table(channel.data):
        raise SpecError(f"channel {name}: this is a table of {package}", fix="give a pandas frame: table.to_pandas()")
    if not is_frame(channel.data) and not isinstance(channel.data, str | os.PathLike):
        raise SpecError(
            f"channel {name}: {type(channel.data).__name__} is no data to train with",
            fix="give a pandas frame, a path, or s3://bucket/prefix; of an array: pandas.DataFrame(array)",
        )
    return channel


def _from_map(name: str, given: Mapping[str, Any]) -> Channel:
    """As a spec has it: its source, and fields of a channel."""
    known = {one.name for one in fields(Channel)} - {"data"}
    fix = f"the fields are source, {', '.join(sorted(known))}"
    if unknown := sorted(map(str, given.keys() - known - {"source"})):
        raise SpecError(f"channel {name}: {', '.join(unknown)} is no field of a channel", fix=fix)
    if "source" not in given:
        raise SpecError(f"channel {name}: it has no source", fix=fix)
    return Channel(given["source"], **{field: value for field, value in given.items() if field != "source"})


def given_place(data: Place, what: str, spec_folder: Path) -> str:
    """A path from the working folder, as a document in `spec_folder` names it; s3:// and file:// as they are.

    SpecError when there is nothing at the path.
    """
    text = os.fspath(data)
    if "://" in text:
        return text
    path = Path(text).expanduser().absolute()
    if not holds(path.exists):
        why = "" if Path(text).is_absolute() else f"paths start at the working folder, so this is {path}"
        raise SpecError(f"{what}: there is no {text}", why=why, fix="correct the path, or put it there")
    return place(path, spec_folder)


def place(path: Path, spec_folder: Path) -> str:
    """Relative, so that the document holds on other machines too."""
    return Path(os.path.relpath(path, spec_folder)).as_posix()


def _with_columns(
    document: dict[str, Any], table: Table, categorical: Iterable[str], *, is_frame: bool
) -> dict[str, Any]:
    """What is said of all channels stands on the first one."""
    said = dict(document)
    if table.target is not None:
        said.setdefault("target", table.target)
    if table.drop:
        said.setdefault("drop", list(table.drop))
    named = list(dict.fromkeys([*(said.get("categorical") or ()), *table.categorical, *categorical]))
    if named:
        said["categorical"] = named
    if is_frame and table.is_builtin and not said.keys() & {"target", "drop", "categorical"}:
        said.setdefault("header", True)
    return said


def _write(name: str, channel: Channel, table: Table, folder: Path, files: Files) -> tuple[Path, list[str]]:
    """The file of a frame, and which of its columns are text. A file that is there already is not written again."""
    what = f"channel {name}"
    frame = checked(channel.data, what)
    target, drop = channel.target or table.target, [*channel.drop, *table.drop]
    categorical: list[str] = []
    if table.is_builtin:
        _check_columns(frame, what, target=target, drop=drop)
        learned = [*channel.categorical, *table.categorical]
        categorical = text_columns(frame, [*([target] if target else []), *drop, *learned], what)
    with disk_problems(f"cannot write the data of {what}"):
        return _written(frame, name, folder, files), categorical


def _check_columns(frame: Any, what: str, *, target: str | None, drop: Sequence[str]) -> None:
    for name in [*([target] if target else []), *drop]:
        if name not in frame.columns:
            columns = ", ".join(frame.columns[:20])
            raise SpecError(f"{what}: there is no column {name!r}", fix=f"the columns are {columns}")
    if target and (gaps := int(frame[target].isna().sum())):
        fix = f"frame.dropna(subset=[{target!r}]) leaves them out"
        raise SpecError(f"{what}: {gaps} rows have no {target}, the column to predict", fix=fix)


def _written(frame: Any, name: str, folder: Path, files: Files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    digest = Digest(f"channel {name}")
    descriptor, beside = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".csv")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in csv_of(frame):
                digest.take(part)
                file.write(part)
        path = folder / f"{name}-{digest.name}.csv"
        if not path.exists():
            Path(beside).chmod(0o644)
            Path(beside).replace(path)
            files.made.append(path)
        return path
    finally:
        Path(beside).unlink(missing_ok=True)
