"""Feeds the channels of one training container in pipe mode; runs beside it, for as long as it runs.

The container sees our pipes/ as its input/data. A channel has the FIFO `<channel>_<epoch>` there, with its objects one
after the other for one reader. The FIFO of the next epoch already exists while this one is read. When the reader closes
this one, at the end or before, or opens the next, this one is removed and the next is fed. The data is in
input/data/<channel>; input/config/feeder.json says in which order it is fed:

  {"train": {"objects": ["a.csv", "b.csv"], "seed": null, "index": 0, "count": 1, "gzip": false, "recordio": false}}

seed: shuffles the order, differently each epoch. index, count: this host gets every `count`-th of the shuffled objects.
gzip: objects are unpacked. recordio: each object becomes one RecordIO record.

output/ready appears with the first FIFOs. We end on SIGTERM, or with 1 and the reason in output/failure.
Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import io
import json
import os
import queue
import random
import signal
import struct
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

PIPE_BYTES = 1 << 20  # the most that Linux gives an unprivileged process
LOOK_EVERY_SECONDS = 0.005
RECORD_MAGIC = 0xCED7230A
LONGEST_RECORD = (1 << 29) - 1  # the upper three bits of its length mean something else


class Unfit(Exception):
    """An object cannot be fed; the text is for the job's owner."""


def main() -> NoReturn:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    pipes = base / "pipes"
    signal.signal(signal.SIGTERM, lambda *_: end(pipes))
    orders = json.loads((base / "input/config/feeder.json").read_text(encoding="utf-8"))
    failures: queue.Queue[str] = queue.Queue()
    for name in orders:
        make_fifo(pipes / f"{name}_0")
    for name, order in orders.items():
        channel = Channel(name, order, base / "input/data" / name, pipes)
        threading.Thread(target=feed, args=(channel, failures), daemon=True).start()
    (base / "output").mkdir(exist_ok=True)
    (base / "output/ready").touch()
    reason = failures.get()
    (base / "output/failure").write_text(reason, encoding="utf-8")
    print(reason, flush=True)
    sys.exit(1)


def end(pipes: Path) -> NoReturn:
    for fifo in pipes.iterdir():
        if fifo.is_fifo():
            fifo.unlink(missing_ok=True)
    os._exit(0)


def make_fifo(path: Path) -> None:
    """Anybody in the other container may read it. One of an earlier life is replaced."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    path.chmod(0o666)


def feed(channel: Channel, failures: queue.Queue[str]) -> None:
    try:
        channel.feed()
    except Unfit as unfit:
        failures.put(f"ClientError: channel {channel.name}: {unfit}")
    except Exception as error:  # the reader would wait forever
        failures.put(f"InternalServerError: channel {channel.name} cannot be fed: {error}")


class Channel:
    def __init__(self, name: str, order: dict[str, Any], data: Path, pipes: Path) -> None:
        self.name = name
        self._order = order
        self._data = data
        self._pipes = pipes

    def feed(self) -> NoReturn:
        epoch = 0
        opened: BinaryIO | None = None
        while True:
            fifo, following = (self._pipes / f"{self.name}_{number}" for number in (epoch, epoch + 1))
            objects = self.objects_of(epoch)
            with opened or fifo.open("wb", buffering=0) as pipe:  # waits for a reader
                enlarge(pipe)
                make_fifo(following)  # before the reader can come to the end of this one and open it
                whole = self._write(objects, pipe)
            print(
                f"{self.name} epoch {epoch}: {len(objects)} objects" + ("" if whole else ", not read whole"), flush=True
            )
            opened = wait_passed(fifo, following)
            epoch += 1
            fifo.unlink()

    def objects_of(self, epoch: int) -> list[str]:
        ordered = list(self._order["objects"])
        if self._order["seed"] is not None:
            random.Random(self._order["seed"] + epoch).shuffle(ordered)  # noqa: S311  # to be the same on all hosts
        return ordered[self._order["index"] :: self._order["count"]]

    def _write(self, objects: list[str], pipe: BinaryIO) -> bool:
        """Whether the reader took all of it."""
        try:
            for path in objects:
                self._write_object(path, pipe)
        except BrokenPipeError:
            return False
        return True

    def _write_object(self, path: str, pipe: BinaryIO) -> None:
        with (self._data / path).open("rb") as file:
            content: BinaryIO = file
            size = os.fstat(file.fileno()).st_size
            if self._order["gzip"]:
                content = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]  # it reads like one
            try:
                if self._order["recordio"]:
                    if self._order["gzip"]:  # how long it is, is known at its end
                        unpacked = content.read()
                        content, size = io.BytesIO(unpacked), len(unpacked)
                    write_all(pipe, record_head(path, size))
                    copy(content, pipe)
                    write_all(pipe, bytes(-size % 4))
                else:
                    copy(content, pipe)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise Unfit(f"{path} cannot be unpacked: {error}") from error


def record_head(path: str, size: int) -> bytes:
    if size > LONGEST_RECORD:
        raise Unfit(f"{path} has {size} bytes, and a RecordIO record holds at most {LONGEST_RECORD}")
    return struct.pack("<II", RECORD_MAGIC, size)


def copy(content: BinaryIO, pipe: BinaryIO) -> None:
    while block := content.read(PIPE_BYTES):
        write_all(pipe, block)


def write_all(pipe: BinaryIO, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[pipe.write(view) :]


def enlarge(pipe: BinaryIO) -> None:
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        with contextlib.suppress(OSError):  # this user has many pipes already; a small one serves, too
            fcntl.fcntl(pipe, set_size, PIPE_BYTES)


def wait_passed(fifo: Path, following: Path) -> BinaryIO | None:
    """Return when no reader has `fifo` open any more (None), or one has opened the following FIFO (that one): a
    reader may forget to close the first. Opening each for writing shows it. `fifo` is closed again at once, and a
    reader that is still there sees the end it has already been given."""
    while True:
        if (opened := _opened_by_reader(following)) is not None:
            return opened
        if (opened := _opened_by_reader(fifo)) is None:
            return None
        opened.close()
        time.sleep(LOOK_EVERY_SECONDS)


def _opened_by_reader(fifo: Path) -> BinaryIO | None:
    """The FIFO for writing, if a reader has it open or waits to open it."""
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb", buffering=0)
