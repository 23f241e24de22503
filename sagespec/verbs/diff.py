"""Two jobs, and all that is another in the second: fields that decide a model, code, data, images, metrics, seconds.

`compare` shows any number of jobs side by side; this says what happened from one to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagespec.causes import Change
from sagespec.display import Displayed
from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.reconcile.causes import changed_fields
from sagespec.records.listings import listing
from sagespec.records.records import Records
from sagespec.sources.between import difference_of
from sagespec.state.addresses import Address
from sagespec.state.data import DataChange, data_change
from sagespec.state.manifest import Manifest
from sagespec.verbs.differences import Row, rows_of
from sagespec.verbs.history import manifest as manifest_of
from sagespec.verbs.metrics import Metrics

MOST_FILES = 20  # of a channel, named by name


@dataclass(frozen=True)
class CodeChange:
    """files: with what became of them, new, changed or gone. commits: of both jobs, '' where none was recorded. text:
    what `git diff` says of the files; None where git does not have both commits here."""

    files: Mapping[str, str]
    commits: tuple[str, str]
    dirty: tuple[bool, bool]
    text: str | None

    def as_json(self) -> dict[str, Any]:
        return {"files": dict(self.files), "commits": list(self.commits), "dirty": list(self.dirty), "diff": self.text}


@dataclass(frozen=True, repr=False)
class Difference(Displayed):
    """From one job to another. metrics, images, seconds: the rows of both, whether or not they differ. series: of both,
    by address."""

    jobs: tuple[Address, Address]
    fields: tuple[Change, ...]
    code: CodeChange
    data: tuple[DataChange, ...]
    metrics: Sequence[Row]
    images: Sequence[Row]
    seconds: Sequence[Row]
    series: Mapping[str, Metrics]

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, documented in docs/lineage.md."""
        return {
            "jobs": [str(job) for job in self.jobs],
            "fields": [change.as_json() for change in self.fields],
            "code": self.code.as_json(),
            "data": [change.as_json() for change in self.data],
            **{name: _by_name(rows) for name, rows in self.of_both.items()},
        }

    @property
    def of_both(self) -> dict[str, Sequence[Row]]:
        return {"metrics": self.metrics, "images": self.images, "seconds": self.seconds}


def _by_name(rows: Sequence[Row]) -> dict[str, Any]:
    return {row.name: {"before": row.values[0], "now": row.values[1], "delta": delta_of(row)} for row in rows}


def delta_of(row: Row) -> float | None:
    """How much more it is now; None of what is no number on both sides."""
    before, now = row.values
    return now - before if isinstance(before, int | float) and isinstance(now, int | float) else None


def diff(parts: Parts, before: Address, now: Address) -> Difference:
    """WorldError where one of them has no manifest, or both are one."""
    jobs = (before.whole, now.whole)
    if jobs[0] == jobs[1]:
        raise WorldError(f"{jobs[0]} differs from itself in nothing", fix="name two jobs: churn@3 churn@4")
    old, new = (manifest_of(parts, job) for job in jobs)
    return Difference(
        jobs=jobs,
        fields=tuple(
            one for one in changed_fields(old.key_fields, new.key_fields) if one.field not in ("code", "build")
        ),
        code=_code(parts, old, new),
        data=tuple(_data(parts.records, jobs, old, new)),
        metrics=rows_of([old.metrics, new.metrics]),
        images=rows_of([old.images, new.images]),
        seconds=rows_of([old.seconds, new.seconds]),
        series={str(job): Metrics(one.series) for job, one in zip(jobs, (old, new), strict=True)},
    )


def _code(parts: Parts, old: Manifest, new: Manifest) -> CodeChange:
    files: dict[str, str] = {}
    for name in ("code", "build"):
        had, has = old.files.get(name, {}), new.files.get(name, {})
        differ = sorted(path for path in had.keys() | has.keys() if had.get(path) != has.get(path))
        files |= {path: "new" if path not in had else "gone" if path not in has else "changed" for path in differ}
    commits = tuple(one.git.commit if one.git else "" for one in (old, new))
    text = difference_of(parts.root, (commits[0], commits[1]), files) if files and all(commits) else None
    dirty = tuple(bool(one.git and one.git.dirty) for one in (old, new))
    return CodeChange(files, (commits[0], commits[1]), (dirty[0], dirty[1]), text)


def _data(records: Records, jobs: tuple[Address, Address], old: Manifest, new: Manifest) -> list[DataChange]:
    """Of the channels that have other data, or are in one job alone."""
    found = []
    for channel in sorted(old.inputs.keys() | new.inputs.keys()):
        had, has = old.inputs.get(channel), new.inputs.get(channel)
        if had and has and had.fingerprint == has.fingerprint:
            continue
        listings = [
            () if one is None else listing(records, job, channel) for one, job in zip((had, has), jobs, strict=True)
        ]
        before, now = listings
        if before is None or now is None:
            objects = (had.objects if had else 0, has.objects if has else 0)
            more = (has.bytes if has else 0) - (had.bytes if had else 0)
            found.append(DataChange(channel, *objects, more, is_known=False))
        else:
            found.append(data_change(channel, before, now))
    return found
