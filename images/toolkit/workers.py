"""The processes of a server: this one, which starts the others again, the front, and the workers with the model.

Each worker is forked from here, with all that was imported before, loads the model itself and answers one request at a
time in its main thread. When one dies, another is forked. If a model cannot be loaded at the start, or by none of the
workers later, the server ends with the reason as its last line: it could answer nothing.
"""

from __future__ import annotations

import asyncio
import io
import marshal
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolkit.channel import pair, received, send
from toolkit.errors import ClientError
from toolkit.front import TEXT, Front
from toolkit.http1 import formed
from toolkit.memory import keep_for_requests

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from toolkit.serving import Answer

Invoke = Callable[["WSGIEnvironment"], "Answer"]

STOP_SECONDS = 28  # the platform sends SIGKILL 30 s after SIGTERM
LONGEST_DELAY_SECONDS = 30.0  # between attempts to load a model again while other workers serve
LOADED = b"\0"
REASON_BYTES = 4096  # which a pipe takes at once


@dataclass
class Child:
    """A worker as the supervisor knows it: `report` is where it says that it has loaded, or why not."""

    number: int
    report: int
    delay_seconds: float = 0.0
    said: bytes = b""

    def listen(self) -> None:
        with suppress(BlockingIOError):
            while said := os.read(self.report, REASON_BYTES):
                self.said += said

    @property
    def is_loaded(self) -> bool:
        return self.said == LOADED


@dataclass
class Supervisor:
    """Forks the front and `count` workers. `load` is called in each worker."""

    load: Callable[[], Invoke]
    address: tuple[str, int]
    count: int
    payload_bytes: int
    answer_seconds: float
    workers: dict[int, Child] = field(default_factory=dict)
    have_loaded: set[int] = field(default_factory=set)
    front: int = 0
    is_stopping: bool = False

    def run(self) -> int:
        """The exit code, after SIGTERM or when there is nothing to serve."""
        # A signal may be delivered to any thread; what wakes this one is the byte that Python's C handler writes.
        self._signals, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, lambda *_: None)
        self._control, theirs = socket.socketpair()
        self.front = fork(lambda: self._be_front(theirs))
        theirs.close()
        for worker_number in range(1, self.count + 1):
            self._start(worker_number, delay_seconds=0)
        code = None
        while code is None:
            for came in os.read(self._signals, 64):
                if came in (signal.SIGTERM, signal.SIGINT):
                    self._stop()
                elif came == signal.SIGALRM:
                    self._kill(self.front)
            code = self._reap()
        for pid in [self.front, *self.workers]:
            self._kill(pid)
        return code

    def _stop(self) -> None:
        if not self.is_stopping:
            self.is_stopping = True
            signal.alarm(STOP_SECONDS)
            with suppress(ProcessLookupError):
                os.kill(self.front, signal.SIGTERM)

    @staticmethod
    def _kill(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> int | None:
        """The exit code, if it is time to go."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == 0:
                return None
            if pid == self.front:
                if not self.is_stopping:
                    print(f"the server's front {ended(status)}", flush=True)
                return 0 if self.is_stopping else 1
            if pid in self.workers and not self._goes_on_without(pid, status):
                return 1

    def _goes_on_without(self, pid: int, status: int) -> bool:
        """Start a worker again, unless that is of no use."""
        for worker in self.workers.values():
            worker.listen()
        self.have_loaded |= {worker.number for worker in self.workers.values() if worker.is_loaded}
        dead = self.workers.pop(pid)
        os.close(dead.report)
        if self.is_stopping:
            return True
        if dead.is_loaded:
            print(f"worker {pid} {ended(status)}; another is started", flush=True)
            self._start(dead.number, delay_seconds=0)
            return True
        reason = dead.said.decode("utf-8", "replace") or f"the worker {ended(status)}"
        others = any(worker.is_loaded for worker in self.workers.values())
        if not others or len(self.have_loaded) < self.count:
            which = f" by {dead.number} of {self.count} workers" if others else ""
            print(f"the model could not be loaded{which}: {reason}", flush=True)
            return False
        delay = min(max(1.0, 2 * dead.delay_seconds), LONGEST_DELAY_SECONDS)
        print(f"the model could not be loaded again, tried once more in {delay:g} s: {reason}", flush=True)
        self._start(dead.number, delay_seconds=delay)
        return True

    def _start(self, number: int, *, delay_seconds: float) -> None:
        ours, theirs = pair()
        reading, writing = os.pipe()
        parent = os.getpid()

        def work() -> int:
            for other in (ours, self._control):
                other.close()
            os.close(reading)
            die_with(parent)
            time.sleep(delay_seconds)
            return Work(theirs, writing).run(self.load)

        pid = fork(work)
        theirs.close()
        os.close(writing)
        os.set_blocking(reading, False)
        self.workers[pid] = Child(number, reading, delay_seconds)
        with suppress(OSError):  # a front that is gone is noticed soon
            socket.send_fds(self._control, [str(pid).encode()], [ours.fileno()])
        ours.close()

    def _be_front(self, control: socket.socket) -> int:
        parent = os.getppid()
        self._control.close()
        die_with(parent)
        front = Front(
            self.address,
            control,
            workers=self.count,
            payload_bytes=self.payload_bytes,
            seconds=self.answer_seconds,
        )
        keep_for_requests()
        asyncio.run(front.run())
        return 0


@dataclass
class Work:
    """A worker's life: load, say so, answer until the front is gone."""

    channel: socket.socket
    report: int

    def run(self, load: Callable[[], Invoke]) -> int:
        try:
            invoke = load()
        except ClientError as error:
            reason = str(error)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
        else:
            os.write(self.report, LOADED)
            os.close(self.report)
            # A signal to all of the group stops the supervisor, and that lets the requests in flight end.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            keep_for_requests()
            self._serve(invoke)
            return 0
        os.write(self.report, reason.encode()[:REASON_BYTES])
        return 1

    def _serve(self, invoke: Invoke) -> None:
        with suppress(ConnectionError):
            send(self.channel, b"")
            for headers, body in received(self.channel):
                send(self.channel, *answered(invoke, marshal.loads(headers), body))  # noqa: S302 (a fork of ours)


def answered(invoke: Invoke, headers: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
    """The answer, formed; 500 for what `invoke` does not answer itself."""
    try:
        return formed(*invoke(environment(headers, body)))
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return formed(500, TEXT, f"{type(error).__name__}: {error}\n".encode())


def environment(headers: dict[str, str], body: bytes) -> WSGIEnvironment:
    """The request as WSGI has it."""
    environ: dict[str, Any] = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ |= {"CONTENT_LENGTH": str(len(body)), "REQUEST_METHOD": "POST", "PATH_INFO": "/invocations"}
    environ["wsgi.input"] = io.BytesIO(body)
    return environ


def fork(life: Callable[[], int]) -> int:
    """The process id of a child that ends with what `life` returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        code = life()
    except BaseException:  # nothing of the parent's may run here
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def die_with(parent: int) -> None:
    """Have Linux kill this process when the supervisor dies; an orphan would keep the port and answer on."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
