"""What the store keeps of the branch that a project follows: how far it has come, and a line for each attempt.

    <project>/source.json
    <project>/deploys/<n>.json

Several processes write the first: whoever follows the branch, and people who accept, approve or suspend. So each says
what it changes, of the record as it is then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from sagespec.errors import WorldError
from sagespec.state.source import SOURCE_FORMAT, CommitEnd, SourceRecord
from sagespec.stores.protocol import Conflict, Store

_TRIES = 20
_Kept = TypeVar("_Kept", SourceRecord, CommitEnd)
Change = Callable[[SourceRecord], SourceRecord]


class SourceRecords:
    """Of one project. Any method may raise WorldError, as the store does."""

    def __init__(self, store: Store, project_name: str) -> None:
        self._store, self._project_name = store, project_name
        self._key = f"{project_name}/source.json"

    def read(self) -> SourceRecord:
        """An empty one where the project has never followed a branch."""
        return self._read()[0]

    def change(self, change: Change) -> SourceRecord:
        """Write the record as `change` makes it of the present one, whatever others write meanwhile."""
        for _ in range(_TRIES):
            before, etag = self._read()
            after = change(before)
            if after == before:
                return before
            data = (after.model_dump_json(indent=1) + "\n").encode()
            try:
                self._store.write(self._key, data, if_absent=etag is None, if_match=etag)
            except Conflict:
                continue
            return after
        raise WorldError(f"{self._key} changes all the time", fix="is the branch followed in several places?")

    def ends(self, most: int = 20) -> tuple[CommitEnd, ...]:
        """The newest attempts, newest first."""
        keys = [self._end_key(number) for number in self._numbers()[-most:]]
        found = (_parsed(CommitEnd, key, data) for key, data in self._store.read_many(keys).items())
        return tuple(sorted(found, key=lambda end: -end.number))

    def add_end(self, end: CommitEnd) -> CommitEnd:
        """The same under the next number; its own is not looked at. Once: a run that was killed adds it again."""
        for _ in range(_TRIES):
            numbers = self._numbers()
            newest = self.ends(1) if numbers else ()
            if newest and _is_same(newest[0], end):
                return newest[0]
            numbered = end.model_copy(update={"number": numbers[-1] + 1 if numbers else 1})
            data = (numbered.model_dump_json(indent=1) + "\n").encode()
            try:
                self._store.write(self._end_key(numbered.number), data, if_absent=True)
            except Conflict:
                continue
            return numbered
        raise WorldError(f"{self._project_name}/deploys/ changes all the time")

    def _read(self) -> tuple[SourceRecord, str | None]:
        found = self._store.read(self._key)
        if found is None:
            return SourceRecord(), None
        record = _parsed(SourceRecord, self._key, found[0])
        if record.format > SOURCE_FORMAT:
            raise WorldError(
                f"{self._key} has format {record.format}, and this sagespec knows {SOURCE_FORMAT}",
                fix="upgrade sagespec here",
            )
        return record, found[1]

    def _numbers(self) -> list[int]:
        prefix = f"{self._project_name}/deploys/"
        names = (entry.key.removeprefix(prefix).removesuffix(".json") for entry in self._store.entries(prefix))
        return sorted(int(name) for name in names if name.isdecimal())

    def _end_key(self, number: int) -> str:
        return f"{self._project_name}/deploys/{number}.json"


def _is_same(one: CommitEnd, other: CommitEnd) -> bool:
    def of(end: CommitEnd) -> tuple[object, ...]:
        return end.commit, end.environment, end.started_at, end.result, end.reason

    return of(one) == of(other)


def _parsed(kind: type[_Kept], key: str, data: bytes) -> _Kept:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise WorldError(
            f"{key} cannot be read: {error.errors(include_url=False)[0]['msg']}",
            why="it tells which commits were applied, so nothing of the branch is applied without it",
            fix="restore it, or delete it: the branch then counts as never followed",
        ) from error
