"""A channel's files as streams of bytes, wherever they come from: a folder or a pipe, wrapped, or packed with gzip."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from toolkit import recordio
from toolkit.errors import ClientError
from toolkit.limits import require_room
from toolkit.places import Place
from toolkit.rows import BadRow
from toolkit.training import Channel

GZIP = b"\x1f\x8b"
READ_BYTES = 2**20


def streams(channel: Channel) -> Iterator[tuple[Path, io.BufferedReader]]:
    """The files of the channel, also those that come wrapped through a pipe."""
    for path in channel.paths():
        with path.open("rb") as stream:
            if not (channel.is_pipe and channel.record_wrapped):
                yield path, _unpacked(stream)
                continue
            try:
                files = recordio.whole(stream.read())
            except recordio.BadRecord as error:
                raise ClientError(f"{Place.of(channel, path)}: {error}") from error
            for file in files:
                yield path, _unpacked(io.BufferedReader(io.BytesIO(file)))


def _unpacked(stream: io.BufferedReader) -> io.BufferedReader:
    """What a gzip file holds, whatever its name; any other file as it is."""
    return io.BufferedReader(Inflated(stream), READ_BYTES) if stream.peek(len(GZIP)).startswith(GZIP) else stream


class Inflated(io.RawIOBase):
    """What a gzip file holds, up to as much as the memory may take: a small file can unpack to anything."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=stream)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._file.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadRow(1, f"a gzip file that cannot be unpacked: {error}") from error
        self._count += size
        require_room(self._count, "the file, unpacked,")
        return size
