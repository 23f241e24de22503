"""The front of a server: it answers /ping, and gives each request to a worker that is free.

One process, which does nothing but wait: however long a model predicts and however slowly a client sends, /ping is
answered at once, and a request waits only while all workers are at another. A worker gets one at a time, over a
channel of its own that `workers` hands over. A worker that dies takes the request it was at with it, and no other.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import signal
import socket
import time
from collections import deque
from typing import cast

from toolkit.channel import Frames, framed
from toolkit.http1 import Connection, Room

BACKLOG = 1024
BODIES_AT_ONCE = 4  # of the longest allowed, that are held while they wait for a worker
LINGER_SECONDS = 2.0  # a stop waits so long for clients to close idle connections: one may be sending a request now
TEXT = [("content-type", "text/plain; charset=utf-8")]


class Worker(asyncio.Protocol):
    """The front's end of the channel to a worker. Its first frame says that its model is loaded."""

    def __init__(self, front: Front, pid: int) -> None:
        self.pid = pid
        self.connection: Connection | None = None  # whose request it is at
        self._front = front
        self._frames = Frames()
        self._is_ready = False
        self.begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for head, body in self._frames.of(data):
            if not self._is_ready:
                self._is_ready = True
                self._front.ready(self)
                continue
            connection, self.connection = self.connection, None
            if connection:  # else it was too late, and is being killed
                self._front.free(self)  # first, so that it is at its next request while this answer is sent
                connection.send(head, body)

    def connection_lost(self, _error: Exception | None) -> None:
        self._fail("the worker that ran this request ended before it had an answer; the log says more\n")
        self._front.gone(self)

    def run(self, connection: Connection) -> None:
        self.connection = connection
        connection.is_running = True
        for part in framed(marshal.dumps(connection.headers), connection.body):
            self._transport.write(part)
        connection.body = b""
        self.begun = time.monotonic()

    def end(self) -> None:
        """It will not answer any more, or too late: only killing it makes it free again."""
        limit = f"{self._front.answer_seconds:g} s (SAGEMAKER_MODEL_SERVER_TIMEOUT)"
        print(f"worker {self.pid} has been at a request for {limit} and is killed", flush=True)
        self._fail(f"the model did not answer within {limit}\n")
        os.kill(self.pid, signal.SIGKILL)

    def _fail(self, why: str) -> None:
        connection, self.connection = self.connection, None
        if connection:
            connection.answer(500, TEXT, why.encode())


class Front:
    """Listens once all workers have loaded their model. `run` returns after SIGTERM, when all is answered."""

    def __init__(
        self, address: tuple[str, int], control: socket.socket, *, workers: int, payload_bytes: int, seconds: float
    ) -> None:
        self.payload_bytes = payload_bytes
        self.answer_seconds = seconds
        self.room = Room(BODIES_AT_ONCE * payload_bytes)
        self.connections: set[Connection] = set()
        self.is_stopping = False
        self._address = address
        self._control = control
        self._missing = workers
        self._loaded: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[Connection] = deque()
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._all_loaded, self._stopped = asyncio.Event(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor gets it too
        self._control.setblocking(False)
        loop.add_reader(self._control, self._adopt)
        await self._all_loaded.wait()
        if self.is_stopping:
            return
        host, port = self._address
        server = await loop.create_server(lambda: Connection(self), host, port, backlog=BACKLOG)
        print(f"serving on {host}:{port}", flush=True)
        self._end_who_is_late()
        await self._stopped.wait()
        await asyncio.sleep(0)  # those who are connected by now are let in
        server.close()
        close_idle_at = time.monotonic() + LINGER_SECONDS
        while self.connections:
            if time.monotonic() > close_idle_at:
                for connection in list(self.connections):
                    connection.close_if_idle()
            await asyncio.sleep(0.01)

    def _stop(self) -> None:
        self.is_stopping = True
        self._all_loaded.set()
        self._stopped.set()

    # -- workers

    def _adopt(self) -> None:
        """A new worker's channel has come, with its process id."""
        said, descriptors, *_ = socket.recv_fds(self._control, 32, 1)
        if not descriptors:  # the supervisor is gone, and nobody would start again what dies
            os._exit(1)
        loop, channel = asyncio.get_running_loop(), socket.socket(fileno=descriptors[0])
        task = loop.create_task(loop.create_connection(lambda: Worker(self, int(said)), sock=channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ready(self, worker: Worker) -> None:
        self._loaded.add(worker)
        if len(self._loaded) >= self._missing:
            self._all_loaded.set()
        self.free(worker)

    def free(self, worker: Worker) -> None:
        while self._waiting:
            connection = self._waiting.popleft()
            if not connection.is_lost:
                worker.run(connection)
                return
        self._idle.append(worker)

    def gone(self, worker: Worker) -> None:
        self._loaded.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)

    def _end_who_is_late(self) -> None:
        """Every now and then: a timer for each request would cost as much as reading it."""
        latest = time.monotonic() - self.answer_seconds
        for worker in [worker for worker in self._loaded if worker.connection and worker.begun < latest]:
            worker.end()
        asyncio.get_running_loop().call_later(min(1.0, self.answer_seconds / 4), self._end_who_is_late)

    # -- requests

    def take(self, connection: Connection) -> None:
        if connection.path == "/invocations":
            if connection.method != "POST":
                connection.answer(405, [*TEXT, ("allow", "POST")], b"predictions are asked for with POST\n")
            elif self._idle:
                self._idle.pop().run(connection)
            else:
                self._waiting.append(connection)
        elif connection.path == "/ping":
            if self._loaded:
                connection.answer(200, [], b"")
            else:
                connection.answer(503, TEXT, b"the model is being loaded again\n")
        else:
            connection.answer(404, TEXT, b"there are /ping and /invocations\n")

    def lost(self, connection: Connection) -> None:
        """One that waits is passed over; what a worker has begun it ends."""
