"""A log on a page: which lines are wanted, its tail, its stream, its download. Of a job, and of an endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, request, stream_with_context

from sagespec.dashboard.curves import Curve
from sagespec.dashboard.desk import desk
from sagespec.dashboard.log import LONGEST_SHOWN, Line, Log
from sagespec.dashboard.stream import Position, events

TAIL_LINES = 400
CATCH_UP_SECONDS = 1.0
_TROUBLE = re.compile(r"\b(warn(ing)?|err(or)?|exception|traceback|critical|fatal|fail(ed|ure)?)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """words: that a line must hold, whatever the case. host: '' for all. trouble: only what looks like a warning or an
    error."""

    words: str = ""
    host: str = ""
    trouble: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        return cls(query.get("q", "")[:200], query.get("host", "")[:100], query.get("level", "") == "trouble")

    @property
    def is_all(self) -> bool:
        return self == Wanted()

    @property
    def query(self) -> dict[str, str]:
        values = {"q": self.words, "host": self.host, "level": "trouble" if self.trouble else ""}
        return {name: value for name, value in values.items() if value}

    def keeps(self, line: Line) -> bool:
        return (
            (not self.host or line.host == self.host)
            and (not self.words or self.words.lower() in line.text.lower())
            and (not self.trouble or bool(_TROUBLE.search(line.text)))
        )


def log_values(log: Log, stream_path: str, *, seconds: float = -1.0) -> dict[str, Any]:
    """What `log.html` shows. seconds: of the last point that the page has already."""
    wanted = Wanted.of(request.args)
    log.catch_up(CATCH_UP_SECONDS)
    lines, offset = log.tail(TAIL_LINES, wanted.keeps)
    begin = {"from": str(Position(log.id, offset, seconds))}
    return {
        "wanted": wanted,
        "hosts": sorted(log.hosts),
        "lines": [(line.host, line.text[:LONGEST_SHOWN]) for line in lines],
        "log_failed": log.failed,
        "stream": "" if log.ended else f"{stream_path}?{urlencode({**wanted.query, **begin})}",
        "is_cut": len(lines) == TAIL_LINES,
    }


def stream(log: Log, curve: Curve | None = None) -> Response:
    """The lines, and the points if there is a curve, after what the browser had last."""
    start = Position.read(request.headers.get("Last-Event-ID") or request.args.get("from", ""))
    wanted = Wanted.of(request.args)
    streams = desk().streams

    def told() -> Iterator[str]:
        with streams.one() as has_room:
            if has_room:
                yield from events(log, curve, start, wanted.keeps)
            else:
                yield "retry: 5000\nevent: full\ndata: {}\n\n"

    return Response(stream_with_context(told()), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


def download(log: Log, name: str) -> Response:
    """All wanted lines that there are now, as text; with the host in front where there are several."""
    wanted = Wanted.of(request.args)
    log.catch_up(10.0, quiet_seconds=0.25)

    def told() -> Iterator[str]:
        position = 0
        while True:
            lines, after = log.read(position)
            if after == position:
                return
            yield "".join(f"{line.host} | {line.text}\n" for line in lines if wanted.keeps(line))
            position = after

    disposition = f'attachment; filename="{name}.log"'
    headers = {"Content-Disposition": disposition}
    return Response(stream_with_context(told()), content_type="text/plain; charset=utf-8", headers=headers)
