"""Supervises one program of the process runtime and outlives the command that started it.

`processes` starts it in a separate interpreter, with the container's folder, the memory limit in bytes
(0: none) and the program with its arguments. It imports nothing from sagespec and little else, because
every start waits for it. It keeps these files in the folder:

  process   one line `pid started_at exit_code`, locked (flock) while this process lives. Holding the
            lock is what "running" means: the kernel releases it however the process dies, and a reused
            pid cannot hold it. The line is overwritten in place, which works even on a full disk.
  log       what the program prints: about LOG_BYTES of it, and as much again in log.1.
  times.N   when it was printed, for whichever of these two files has inode N: lines `offset time`, where
            offset is the first byte printed then. Output within MARK_SECONDS of a line gets no further line.
  note      why the shim killed the program, if it did.
  terminated  exists once SIGTERM has been passed on to the program.

SIGTERM is passed on to the program, as an engine passes it to PID 1; SIGUSR1 kills the program. Processes
that the program leaves behind are killed when it ends.
"""

# pathlib and contextlib would make every start a third slower:
# ruff: noqa: PTH105, PTH108, PTH110, PTH116, PTH123, PTH208, SIM105

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time

ID_VARIABLE = "SAGESPEC_CONTAINER_ID"  # set for all processes of a container
LOG_BYTES = 10 * 2**20
MARK_SECONDS = 0.01
LOOK_EVERY_MS = 1000
KILLED = 137  # 128 + SIGKILL, the exit code engines report
CANNOT_RUN = 127

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, SIGKILL = 1, 36, 9
linux = ctypes.CDLL(None) if sys.platform == "linux" else None


def record_line(pid: int, started_at: float, exit_code: int | None = None) -> bytes:
    """The content of `process`; always the same length, so that a new line replaces the old one completely."""
    return f"{pid:>10} {started_at:>17.6f} {'-' if exit_code is None else exit_code:>4}\n".encode()


def claim() -> int | None:
    """The locked record; None if another shim holds it. (A command that lists containers holds it for microseconds.)"""
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
    """Whether this folder still belongs to the container that we were started for.

    On a busy machine, the container may have been removed and another created under its name before we ran. Killing a
    container finds its processes by this ID, and would miss one that has another.
    """
    try:
        with open("container.json") as file:
            return f'"id": "{os.environ[ID_VARIABLE]}"' in file.read()
    except OSError:
        return False


def run_program(command: list[str], output: int, shim_pid: int) -> None:
    """In the forked child: become the program, which dies when the shim does (Linux)."""
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
    """The files `log` and `log.1`, and their times."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._file = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        status = os.fstat(self._file)
        self._size = status.st_size
        # Named by inode rather than renamed along with the log, so that no reader pairs a log with the wrong times.
        times = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if self._size else os.O_TRUNC)
        self._times = os.open(f"times.{status.st_ino}", times, 0o644)
        self._marked_at = 0.0

    def write(self, data: bytes) -> None:
        # On a full disk, lines are lost but the program continues.
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
        if data and not 0 <= now - self._marked_at < MARK_SECONDS:  # < 0: the clock was set back
            os.write(self._times, b"%d %.3f\n" % (self._size, now))
            self._marked_at = now
        while data:
            written = os.write(self._file, data)
            self._size += written
            data = data[written:]


def supervise(program: int, output: int, log: Log, memory_limit: int) -> int:
    """The program's exit code, once it and everything it started are dead and the log is complete."""
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

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on, the pid may belong to another process
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    kill_rest(program)
    try:
        while data := os.read(output, 65536):
            log.write(data)
    except BlockingIOError:
        pass  # a process that left the program's group still holds the pipe
    return exit_code


def terminate(program: int) -> None:
    """Pass SIGTERM on and record that we did: a program that obeys may exit as if it had finished."""
    try:
        os.close(os.open("terminated", os.O_WRONLY | os.O_CREAT, 0o644))
    except OSError:
        pass
    kill(program, 15)


def note(reason: str) -> None:
    """Record why the program was killed. Purely informative, so a failure to write it is ignored."""
    try:
        with open("note", "w") as file:
            file.write(reason)
    except OSError:
        pass


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


def exit_code_of(program: int) -> int | None:
    """The exit code once the program is dead, else None; also reaps other dead children (inherited orphans)."""
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
    """Send a signal; False if the process is dead, or its pid now belongs to another user's process."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_rest(program: int) -> None:
    """Kill what the dead program left behind: its process group and (Linux) processes that left the group."""
    kill(-program, SIGKILL)
    # A child keeps its pid until we wait for it, so the pid cannot have been reused.
    while any(kill(orphan, SIGKILL) for orphan in children_of(os.getpid())):
        os.waitpid(-1, 0)


def reason_to_kill(program: int, memory_limit: int) -> str:
    """Why the program must be killed, or ''."""
    if not os.path.exists("container.json"):  # deleted by hand: no command could reach the program any more
        return "its folder was deleted"
    if memory_limit and (used := memory_of(program)) > memory_limit:
        return f"out of memory: it uses {used >> 20} MiB and the limit is {memory_limit >> 20} MiB"
    return ""


def children_of(pid: int) -> list[int]:
    """The pids of its children on Linux; elsewhere an empty list."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
    except OSError:
        pass
    return children


def memory_of(program: int) -> int:
    """Bytes used by the program and its descendants, shared pages counted once; 0 if the system does not report it."""
    total = 0
    try:
        with open(f"/proc/{program}/smaps_rollup") as file:
            total = next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        pass  # it has just ended
    return total + sum(map(memory_of, children_of(program)))


def main() -> None:
    folder, memory_limit, command = sys.argv[2], int(sys.argv[3]), sys.argv[4:]
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
    log = Log()  # before it counts as running, so that followers find the log
    for mark in ("note", "terminated"):  # left from an earlier run
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
