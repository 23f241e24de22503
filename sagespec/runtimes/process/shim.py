"""Supervises one program of the process runtime, and outlives the command that started it.

`process.py` starts it in an interpreter of its own, with the container's folder, the memory limit in
bytes (0: none) and the program with its arguments. It imports nothing of sagespec and little else,
because it stands in the way of every start. In the folder it keeps:

  process   one line `pid started_at exit_code`, locked (flock) for as long as this process lives.
            The lock is what "running" means: the kernel drops it on any death, and no reused pid
            can pretend to hold it. The line is overwritten in place, which a full disk cannot hinder.
  log       what the program prints: about LOG_BYTES of it, and as much again in log.1.
  times.N   when it was printed, for the file of inode N of these two: lines `offset time`, the offset being
            the first byte printed then. What came within MARK_SECONDS of it has no line of its own.
  note      why the program was killed, where that was for its use of memory.
  terminated  is there when SIGTERM was passed on to the program.

SIGTERM is passed on to the program, as an engine passes it to PID 1; SIGUSR1 kills it. What the
program leaves behind is killed with it.
"""

# pathlib and contextlib would make every start a third slower:
# ruff: noqa: PTH105, PTH108, PTH110, PTH116, PTH123, PTH208, SIM105

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time

ID_VARIABLE = "SAGESPEC_CONTAINER_ID"  # in the environment of all processes of a container
LOG_BYTES = 10 * 2**20
MARK_SECONDS = 0.01
LOOK_EVERY_MS = 1000
KILLED = 137  # 128 + SIGKILL, the exit code engines report
CANNOT_RUN = 127

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, SIGKILL = 1, 36, 9
linux = ctypes.CDLL(None) if sys.platform == "linux" else None


def record_line(pid: int, started_at: float, exit_code: int | None = None) -> bytes:
    """The content of `process`; always of the same length, so that it is overwritten whole."""
    return f"{pid:>10} {started_at:>17.6f} {'-' if exit_code is None else exit_code:>4}\n".encode()


def claim() -> int | None:
    """The locked record, or None while another shim holds it. Who lists containers holds it for microseconds."""
    record = os.open("process", os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(40):
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return record
    return None


def is_of_this_folder() -> bool:
    """Whether this folder is still the container that we were started for.

    Its starter may have waited for a processor while the container was removed and made again under its name. Who
    kills a container knows its processes by that id, and could not kill one with another.
    """
    try:
        with open("container.json") as file:
            return f'"id": "{os.environ[ID_VARIABLE]}"' in file.read()
    except OSError:
        return False


def run_program(command: list[str], output: int, shim_pid: int) -> None:
    """In the forked child: become the program. It dies with the shim (Linux)."""
    try:
        os.setpgid(0, 0)
        if linux is not None:
            linux.prctl(PR_SET_PDEATHSIG, SIGKILL)
            if os.getppid() != shim_pid:
                os._exit(KILLED)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir("work")
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(CANNOT_RUN)


class Log:
    """The files `log` and `log.1`, and the times beside them."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._file = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        status = os.fstat(self._file)
        self._size = status.st_size
        # By the inode, and not by a second renaming: so no reader can take the times of one log for another's.
        times = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if self._size else os.O_TRUNC)
        self._times = os.open(f"times.{status.st_ino}", times, 0o644)
        self._marked_at = 0.0

    def write(self, data: bytes) -> None:
        # On a full disk lines are lost; the program continues.
        try:
            if self._size + len(data) > LOG_BYTES:
                whole_lines = data.rfind(b"\n") + 1
                self._append(data[:whole_lines])
                data = data[whole_lines:]
                self._rotate()
            self._append(data)
        except OSError:
            pass

    def _rotate(self) -> None:
        try:
            os.unlink(f"times.{os.stat('log.1').st_ino}")
        except FileNotFoundError:
            pass
        os.replace("log", "log.1")
        os.close(self._file)
        os.close(self._times)
        self._open()

    def _append(self, data: bytes) -> None:
        now = time.time()
        if data and not 0 <= now - self._marked_at < MARK_SECONDS:  # a clock that was set back counts, too
            os.write(self._times, b"%d %.3f\n" % (self._size, now))
            self._marked_at = now
        while data:
            written = os.write(self._file, data)
            self._size += written
            data = data[written:]


def supervise(program: int, output: int, log: Log, memory_limit: int) -> int:
    """The program's exit code, once it and all it started are dead and the log is whole."""
    import select
    import signal

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(output, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: terminate(program))
    signal.signal(signal.SIGUSR1, lambda *_: kill(program, signal.SIGKILL))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    let_starter_go()

    poller = select.poll()
    poller.register(output, select.POLLIN)
    poller.register(woken, select.POLLIN)
    exit_code = exit_code_of(program)
    while exit_code is None:
        for readable, _ in poller.poll(LOOK_EVERY_MS):
            if readable == woken:
                os.read(woken, 4096)
            elif data := os.read(output, 65536):
                log.write(data)
            else:
                poller.unregister(output)
        exit_code = exit_code_of(program)
        if exit_code is None and (reason := reason_to_kill(program, memory_limit)):
            log.write(f"sagespec: killed, {reason}\n".encode())
            note(reason)
            kill(program, SIGKILL)

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the pid may be another's from here on
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    kill_rest(program)
    try:
        while data := os.read(output, 65536):
            log.write(data)
    except BlockingIOError:
        pass  # somebody who left the program's group still holds the pipe
    return exit_code


def terminate(program: int) -> None:
    """Pass SIGTERM on, and leave a mark of it: a program that obeys may end as if it had been done."""
    try:
        os.close(os.open("terminated", os.O_WRONLY | os.O_CREAT, 0o644))
    except OSError:
        pass
    kill(program, 15)


def note(reason: str) -> None:
    """Leave it beside the log, for whoever asks how the program ended. Nothing hangs on it."""
    try:
        with open("note", "w") as file:
            file.write(reason)
    except OSError:
        pass


def let_starter_go() -> None:
    """Tell the waiting starter that the program runs and can be stopped, and let go of its pipe."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        os.write(1, b"started")
    except BrokenPipeError:
        pass  # killed meanwhile
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def exit_code_of(program: int) -> int | None:
    """The exit code once the program is dead; other dead children (orphans we inherited) are put away."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return KILLED
        if pid == 0:
            return None
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def kill(pid: int, number: int) -> bool:
    """Whether the signal could be sent: it cannot to the dead, nor to what became another user's."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_rest(program: int) -> None:
    """Kill what the dead program left: its process group, and (Linux) what left the group."""
    kill(-program, SIGKILL)
    # A child of ours stays one until we wait for it: its pid cannot have become another's.
    while any(kill(orphan, SIGKILL) for orphan in children_of(os.getpid())):
        os.waitpid(-1, 0)


def reason_to_kill(program: int, memory_limit: int) -> str:
    """Why the program must end, or ''."""
    if not os.path.exists("container.json"):  # deleted by hand, and so would be out of everybody's reach
        return "its folder was deleted"
    if memory_limit and (used := memory_of(program)) > memory_limit:
        return f"out of memory: it uses {used >> 20} MiB and the limit is {memory_limit >> 20} MiB"
    return ""


def children_of(pid: int) -> list[int]:
    """On Linux; elsewhere an empty list."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
    except OSError:
        pass
    return children


def memory_of(program: int) -> int:
    """Bytes in use by the program and all below it, pages they share counted once; 0 where the system does not say."""
    total = 0
    try:
        with open(f"/proc/{program}/smaps_rollup") as file:
            total = next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        pass  # it ended just now
    return total + sum(map(memory_of, children_of(program)))


def main() -> None:
    folder, memory_limit, command = sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    if os.fork():
        os._exit(0)  # the starter waits for this one; the one that stays is nobody's child
    os.chdir(folder)
    record = claim()
    if record is None:
        os.write(1, b"started")
        os._exit(0)
    if not is_of_this_folder():
        os.write(1, b"it was replaced by another container of its name")
        os._exit(0)
    log = Log()  # before it counts as running, so that followers find it
    for mark in ("note", "terminated"):  # of an earlier run
        if os.path.exists(mark):
            os.unlink(mark)
    started_at = time.time()
    os.pwrite(record, record_line(os.getpid(), started_at), 0)
    if linux is not None:
        linux.prctl(PR_SET_CHILD_SUBREAPER, 1)
    output, writing = os.pipe()
    shim_pid = os.getpid()
    program = os.fork()
    if program == 0:
        run_program(command, writing, shim_pid)
    os.close(writing)
    exit_code = supervise(program, output, log, memory_limit)
    os.pwrite(record, record_line(shim_pid, started_at, exit_code), 0)
    os._exit(0)
