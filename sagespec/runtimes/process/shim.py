"""Supervises one program of the process runtime and outlives the command that started it.

`processes` starts it in a separate interpreter, with the container's folder, the memory limit in bytes
(0: none), after which ends the program is started again, and the program with its arguments. It imports little, and
of sagespec only what is beside it, because every start waits for it. It keeps these files in the folder:

  process   one line, `shim_record.record_line`, locked (flock) while this process lives. Holding the
            lock is what "running" means: the kernel releases it however the process dies, and a reused
            pid cannot hold it. The line is overwritten in place, which works even on a full disk.
  log       what the program prints: about LOG_BYTES of it, and as much again in log.1.
  times.N   when it was printed, for whichever of these two files has inode N: `lines` and how many lines were printed
            before those in the file, then lines `offset time`, where offset is the first byte printed then. Output
            within MARK_SECONDS of a line gets no further line.
  note      why the shim killed the program at its last end, if it did.
  terminated  exists once SIGTERM has been passed on to the program.

SIGTERM is passed on to the program, as an engine passes it to PID 1; SIGUSR1 kills the program. After either, it is
not started again. Processes that the program leaves behind are killed when it ends.

There is one loop and one thread: signals come through a pipe that the loop reads, so none can arrive between a look
at whether the program is to be started again and its start.
"""

# pathlib and contextlib would make every start a third slower:
# ruff: noqa: PTH110, SIM105

from __future__ import annotations

import _signal as signals  # type: ignore[import-not-found]  # `signal` is slower to import than all else here
import os
import select
import sys
import time

from sagespec.runtimes.process.restarts import ALWAYS, NEVER, ON_FAILURE, Restarts
from sagespec.runtimes.process.shim_log import Log
from sagespec.runtimes.process.shim_program import (
    SIGKILL,
    adopt_orphans,
    exit_code_of,
    kill,
    kill_rest,
    memory_of,
    start_program,
)
from sagespec.runtimes.process.shim_record import claim, is_of_this_folder, mark, record_line, unmark
from sagespec.runtimes.process.shim_streams import Streams

LOOK_EVERY_SECONDS = 1.0
FULL_LOG_SECONDS = 0.02  # between two looks whether a follower has made room


class Orders:
    """What the shim was told by signals. ends: the program is not to be started again."""

    def __init__(self) -> None:
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        self.ends = False
        signals.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signals.SIGCHLD, signals.SIGTERM, signals.SIGUSR1):
            signals.signal(number, lambda *_: None)  # the number in the pipe is what counts
        for number in (signals.SIGINT, signals.SIGHUP):
            signals.signal(number, signals.SIG_IGN)

    def follow(self, program: int | None) -> None:
        """Do what arrived since the last time: pass it on to the program, if there is one."""
        try:
            arrived = os.read(self.woken, 4096)
        except BlockingIOError:
            return
        if signals.SIGTERM in arrived:
            self.ends = True
            if program is not None:
                mark("terminated")  # a program that obeys may exit as if it had finished
                kill(program, signals.SIGTERM)
        if signals.SIGUSR1 in arrived:
            self.ends = True
            if program is not None:
                kill(program, SIGKILL)

    def allow_a_start_after(self, seconds: float) -> bool:
        """Wait so long; False at once when the program is to end, or nobody could reach it any more."""
        start_at = time.monotonic() + seconds
        while not self.ends and is_of_this_folder():
            left = start_at - time.monotonic()
            if left <= 0:
                return True
            select.select([self.woken], [], [], min(left, LOOK_EVERY_SECONDS))
            self.follow(None)
        return False


class Shim:
    """One container's program, from its start to its last end."""

    def __init__(self, record: int, command: list[str], *, memory_limit: int, restarts: str) -> None:
        self._record = record
        self._command = command
        self._memory_limit = memory_limit
        self._when = restarts
        self._log = Log(waits=restarts == NEVER)
        self._orders = Orders()
        self._restarts = Restarts()
        self._last_code: int | None = None
        self._ended_at = 0.0

    def run(self) -> None:
        code = self._run_once()
        while self._is_to_run_after(code) and self._starts_again(code):
            self._restarts.count += 1
            code = self._run_once()
        self._write(self._started_at, code)

    def _is_to_run_after(self, code: int) -> bool:
        """Whether this end is not the last one."""
        return not self._orders.ends and (self._when == ALWAYS or (self._when == ON_FAILURE and code != 0))

    def _run_once(self) -> int:
        """Run the program to its end, and return its exit code."""
        self._started_at = max(time.time(), self._ended_at + 0.001)  # later, by whatever clock
        self._write(self._started_at)
        unmark("terminated")
        program, pipes = start_program(self._command)
        let_starter_go()
        begun = time.monotonic()
        code, was_killed_for = self._supervise(program, Streams(self._log, pipes))
        self._ran_seconds = time.monotonic() - begun
        if not was_killed_for:
            unmark("note")
        self._last_code, self._ended_at = code, max(time.time(), self._started_at)
        return code

    def _starts_again(self, code: int) -> bool:
        """Whether to start the program once more, after having waited for it."""
        self._write(self._started_at)  # it waits
        said = f"the program exited with code {code} after {self._ran_seconds:.1f} s"
        wait = self._restarts.wait_after(self._ran_seconds)
        if wait is None:
            self._log.say(f"{said}; it has ended too soon too many times, so only sagespec apply starts it again")
            return False
        self._log.say(f"{said}; it is started again in {wait:g} s (restart {self._restarts.count + 1})")
        return self._orders.allow_a_start_after(wait)

    def _write(self, started_at: float, exit_code: int | None = None) -> None:
        line = record_line(
            os.getpid(),
            started_at,
            exit_code,
            restarts=self._restarts.count,
            last_code=self._last_code,
            ended_at=self._ended_at,
        )
        os.pwrite(self._record, line, 0)

    def _supervise(self, program: int, streams: Streams) -> tuple[int, str]:
        """The program's exit code, once it and everything it started are dead and the log is complete; and why we
        killed it, if we did."""
        reason, look_at = "", 0.0
        while (code := exit_code_of(program)) is None:
            has_room = self._log.has_room()
            reading = [self._orders.woken, *(streams.open if has_room else ())]
            readable, _, _ = select.select(reading, [], [], LOOK_EVERY_SECONDS if has_room else FULL_LOG_SECONDS)
            self._orders.follow(program)
            for pipe in readable:
                if pipe != self._orders.woken:
                    streams.read(pipe)
            if not reason and time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_EVERY_SECONDS
                if reason := reason_to_kill(program, self._memory_limit):
                    self._log.say(f"killed, {reason}")
                    mark("note", reason)
                    kill(program, SIGKILL)
        kill_rest(program)
        streams.finish()
        return code, reason


def reason_to_kill(program: int, memory_limit: int) -> str:
    """Why the program must be killed, or ''."""
    if not os.path.exists("container.json"):  # deleted by hand: no command could reach the program any more
        return "its folder was deleted"
    if memory_limit and (used := memory_of(program)) > memory_limit:
        return f"out of memory: it uses {used >> 20} MiB and the limit is {memory_limit >> 20} MiB"
    return ""


def let_starter_go() -> None:
    """Report to the waiting starter that the program is running and can be stopped, and close its pipe."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        os.write(1, b"started")
    except BrokenPipeError:
        pass  # the starter has been killed
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def main(folder: str, memory_limit: str, restarts: str, *command: str) -> None:
    if os.fork():
        os._exit(0)  # the starter waits for this process; its fork lives on as an orphan
    os.chdir(folder)
    record = claim()
    if record is None:
        os.write(1, b"started")
        os._exit(0)
    if not is_of_this_folder():
        os.write(1, b"it was replaced by another container with the same name")
        os._exit(0)
    adopt_orphans()
    shim = Shim(record, list(command), memory_limit=int(memory_limit), restarts=restarts)
    unmark("note")  # left from an earlier run
    shim.run()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
