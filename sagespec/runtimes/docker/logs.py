"""A container's log as whole lines, followed to its very end.

`DockerRuntime.logs` asks for it. The engine sends standard output and standard error in one stream of frames,
which are read, followed without losing the last ones, and put together to lines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from sagespec.errors import WorldError
from sagespec.runtimes.docker.engine import ANSWER_SECONDS, refused
from sagespec.runtimes.protocol import LONGEST_LINE_BYTES

ENGINES_OWN = 3  # number of the stream of its errors


def log_lines(engine: Any, container_id: str, *, follow: bool, tail: int | None) -> Iterator[tuple[bytes, str]]:
    """All lines, or the last `tail`, each with its time as the engine writes it; with `follow`, also those to come,
    until the container has ended."""
    yield from lines_of(partial(_frames, engine, container_id), follow=follow, tail=tail)


class Frames(Protocol):
    """Asks for a log: all of it, its last lines, what is newer than a second since 1970, or also what is to come."""

    def __call__(self, *, follow: bool = False, tail: int | None = None, since: int = 0) -> Iterator[Frame]: ...


def lines_of(ask: Frames, *, follow: bool, tail: int | None) -> Iterator[tuple[bytes, str]]:
    yield from _lines(_followed(ask, tail) if follow else ask(tail=tail))


@dataclass(frozen=True)
class Frame:
    """A line of a container's log, or a piece of a long one: 1 is standard output, 2 standard error.

    `at` is always of the same length and in UTC, so that times can be compared as they are.
    """

    stream: int
    at: bytes
    data: bytes


class Past:
    """What was read of a log, or of its last `tail` lines, so that nothing is given twice when it is read on.

    All pieces of a long line have the same time, so those are counted.
    """

    def __init__(self, tail: int | None) -> None:
        self._tail = tail
        self._latest: dict[int, bytes] = {}  # by stream, as only within one the order of times is certain
        self._had: dict[int, int] = {}  # of the frames of that time, by stream
        self._first = b""

    def add(self, frame: Frame) -> Frame:
        self._first = self._first or frame.at
        self._had[frame.stream] = (
            self._had.get(frame.stream, 0) + 1 if self._latest.get(frame.stream) == frame.at else 1
        )
        self._latest[frame.stream] = frame.at
        return frame

    @property
    def is_empty(self) -> bool:
        return not self._latest

    @property
    def since(self) -> int:
        """From when on it is to be read again."""
        return max(0, int(seconds_of(max(self._latest.values()))) - 5) if self._latest else 0

    def new_among(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Those that were not there yet when this was asked."""
        latest, had, first, tail = dict(self._latest), dict(self._had), self._first, self._tail
        for frame in frames:
            last = latest.get(frame.stream, b"" if tail is None else first)
            if frame.at == last and had.get(frame.stream):
                had[frame.stream] -= 1
            elif frame.at > last or (frame.at == last and (tail is None or last > first)):  # or it is before the tail
                yield frame


def _followed(ask: Frames, tail: int | None) -> Iterator[Frame]:
    """Frames until the container has ended.

    An engine ends the stream when the container does, and may not have sent all of it by then: a last
    line without a newline nearly always, and under load the lines of its last moments. So the end of
    the log is read once more, for what is newer.
    """
    past = Past(tail)
    for frame in ask(follow=True, tail=tail):
        yield past.add(frame)
    if tail is not None and past.is_empty:
        return
    yield from past.new_among(ask(since=past.since))


def _frames(
    engine: Any, container_id: str, *, follow: bool = False, tail: int | None = None, since: int = 0
) -> Iterator[Frame]:
    # Not through the SDK's own method: it does not say which of the two streams a piece is of, and the
    # engine cuts long lines in pieces.
    with engine.get(
        f"{engine.base_url}/v{engine.api_version}/containers/{container_id}/logs",
        params=asked_for(follow=follow, tail=tail, since=since),
        stream=True,
        timeout=None if follow else ANSWER_SECONDS,
    ) as response:
        if response.status_code == 404:  # removed since it was found
            return
        if not response.ok:
            raise refused("give the log", response.text)
        yield from read_frames(response.iter_content(None))


def asked_for(*, follow: bool, tail: int | None, since: int) -> dict[str, object]:
    """As the engine's API has it."""
    wanted = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
    return wanted | {"tail": "all" if tail is None else tail, "since": since}


def read_frames(pieces: Iterable[bytes]) -> Iterator[Frame]:
    """Docker's two streams in one: stream number, 3 zero bytes, 4 bytes of length; time, space, data. WorldError for
    what the engine says in a third one: it has no time, and is the last."""
    held = b""
    for piece in pieces:
        held += piece
        begin = 0
        while len(held) >= begin + 8:
            stream, size = struct.unpack_from(">BxxxL", held, begin)
            end = begin + 8 + size
            if len(held) < end:
                break
            if stream == ENGINES_OWN:
                said = held[begin + 8 : end].decode(errors="replace").strip()
                raise WorldError(f"the engine breaks off the log: {said}", fix="try again in a while")
            at, _, data = held[begin + 8 : end].partition(b" ")
            yield Frame(stream, at, data)
            begin = end
        held = held[begin:]


def seconds_of(at: bytes) -> float:
    """A time as the engine writes it, in seconds since 1970.

    >>> seconds_of(b"1970-01-01T00:00:10.500000000Z")
    10.5
    """
    return datetime.fromisoformat(at[:26].rstrip(b"Z").decode() + "+00:00").timestamp()


def _lines(frames: Iterable[Frame]) -> Iterator[tuple[bytes, str]]:
    """Whole lines, each when it ends: between the pieces of one there may be lines of the other stream.

    >>> pieces = [(1, b"ab"), (2, b"error\\n"), (1, b"c\\n"), (1, b"end")]
    >>> [line for _, line in _lines(Frame(stream, b"", data) for stream, data in pieces)]
    ['error', 'abc', 'end']
    """
    begun: dict[int, list[bytes]] = {}  # pieces: put together once, however many a line has
    at = b""
    for frame in frames:
        at = frame.at
        first, *more = frame.data.split(b"\n")
        pieces = begun.setdefault(frame.stream, [])
        pieces.append(first)
        if more:
            *whole, begun[frame.stream] = b"".join(pieces), *more[:-1], [more[-1]]
            for line in whole:
                yield at, line.decode(errors="replace").removesuffix("\r")
        if sum(map(len, begun[frame.stream])) > LONGEST_LINE_BYTES:
            yield at, b"".join(begun.pop(frame.stream)).decode(errors="replace")
    for rest in map(b"".join, begun.values()):
        if rest:
            yield at, rest.decode(errors="replace")
