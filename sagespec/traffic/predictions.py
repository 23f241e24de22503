"""Which target made which prediction, where the caller gave an InferenceId: read from the gateway's access log.

Kept in a small database in the project's folder, at most MOST_PREDICTIONS of an endpoint. What comes through the
gateway's own route of feedback stands in the same log, and is taken from it once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_PREDICTIONS = 500_000
_TABLES = """
create table if not exists predictions (
    endpoint text, id text, target text, at text, rewarded integer not null default 0, primary key (endpoint, id)
);
create table if not exists taken (request text primary key, at text);
"""


@dataclass(frozen=True)
class Posted:
    """Lines of feedback that came in one request through the gateway."""

    request: str
    endpoint: str
    text: str
    at: str


class Predictions:
    """In one file. Several processes may use it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """One change: all of it or nothing."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._file, timeout=30.0)) as database:
            database.executescript(_TABLES)
            with database:
                database.execute("begin immediate")
                yield database

    def take_in(self, lines: Iterable[str]) -> list[Posted]:
        """Keep the predictions in these lines of the log; what feedback there is that was not taken yet."""
        found = [entry for line in lines if (entry := _entry(line)) is not None]
        made = [
            (entry["endpoint"], entry["inference_id"], _target(entry["target"]), entry["at"])
            for entry in found
            if "inference_id" in entry and "target" in entry and 200 <= int(entry.get("status", 0)) < 300
        ]
        with self.opened() as database:
            database.executemany(
                "insert or ignore into predictions (endpoint, id, target, at) values (?, ?, ?, ?)", made
            )
            for name in {one[0] for one in made}:
                _forget_oldest(database, name)
            posted = [_posted(entry) for entry in found if "feedback" in entry]
            known = {row[0] for row in database.execute("select request from taken")}
        return [one for one in posted if one.request not in known]


def _forget_oldest(database: sqlite3.Connection, endpoint_name: str) -> None:
    database.execute(
        "delete from predictions where endpoint = ? and rowid in (select rowid from predictions where endpoint = ?"
        " order by at desc limit -1 offset ?)",
        (endpoint_name, endpoint_name, MOST_PREDICTIONS),
    )


def claimed(database: sqlite3.Connection, endpoint_name: str, ids: Iterable[str]) -> dict[str, str]:
    """The targets of those of the predictions that are known and had no reward yet. From now on they have."""
    found = {}
    for one in ids:
        row = database.execute(
            "update predictions set rewarded = 1 where endpoint = ? and id = ? and not rewarded returning target",
            (endpoint_name, one),
        ).fetchone()
        if row:
            found[one] = str(row[0])
    return found


def mark_taken(database: sqlite3.Connection, posted: Iterable[Posted]) -> None:
    database.executemany("insert or ignore into taken values (?, ?)", [(one.request, one.at) for one in posted])
    database.execute(
        "delete from taken where rowid in (select rowid from taken order by at desc limit -1 offset 100000)"
    )


def _entry(line: str) -> dict[str, Any] | None:
    """Of the lines of the log, those that matter here: a model or a client may have printed anything else."""
    if '"inference_id":' not in line and '"feedback":' not in line:
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(found, dict) and all(isinstance(found.get(name), str) for name in ("endpoint", "at"))
    return found if is_ours or (isinstance(found, dict) and "feedback" in found) else None


def _target(text: str) -> str:
    """From `endpoint/variant/hash`, as Envoy names it."""
    return str(text).partition("/")[2]


def _posted(entry: dict[str, Any]) -> Posted:
    return Posted(
        request=str(entry.get("request_id", "")),
        endpoint=str(entry.get("path", "")).removeprefix("/endpoints/").partition("/")[0],
        text=str(entry["feedback"]),
        at=str(entry.get("at", "")),
    )
