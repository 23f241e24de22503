"""One program and the processes it starts: its start, its end, its memory. For the shim, which is their parent."""

# pathlib would make every start a third slower:
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import _signal as signals  # type: ignore[import-not-found]  # `signal` is slower to import than all else here
import ctypes
import os
import sys

from sagespec.runtimes.process.shim_record import KILLED

CANNOT_RUN = 127
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, SIGKILL = 1, 36, 9
# What the shim ignores, and what Python does.
NOT_AS_USUAL = (signals.SIGINT, signals.SIGHUP, signals.SIGPIPE, signals.SIGXFSZ)
CAUGHT = (signals.SIGTERM, signals.SIGUSR1, signals.SIGCHLD)
linux = ctypes.CDLL(None) if sys.platform == "linux" else None


def start_program(command: list[str]) -> tuple[int, tuple[int, int]]:
    """The pid of a new program, and the pipes with its standard output and its standard error."""
    (output, writes_output), (errors, writes_errors) = os.pipe(), os.pipe()
    os.set_blocking(output, False)
    os.set_blocking(errors, False)
    shim_pid = os.getpid()
    # In a child that has not yet become the program, a signal meant for the program must wait until it has.
    signals.pthread_sigmask(signals.SIG_BLOCK, CAUGHT)
    program = os.fork()
    if program == 0:
        _become(command, (writes_output, writes_errors), shim_pid)
    signals.pthread_sigmask(signals.SIG_UNBLOCK, CAUGHT)
    os.close(writes_output)
    os.close(writes_errors)
    return program, (output, errors)


def adopt_orphans() -> None:
    """Become the parent of what the program's processes leave behind (Linux), so that it can be killed."""
    if linux is not None:
        linux.prctl(PR_SET_CHILD_SUBREAPER, 1)


def _become(command: list[str], pipes: tuple[int, int], shim_pid: int) -> None:
    """In the forked child: become the program, which dies when the shim does (Linux)."""
    try:
        os.setpgid(0, 0)
        signals.set_wakeup_fd(-1)
        for number in (*NOT_AS_USUAL, *CAUGHT):
            signals.signal(number, signals.SIG_DFL)
        signals.pthread_sigmask(signals.SIG_UNBLOCK, CAUGHT)
        if linux is not None:
            linux.prctl(PR_SET_PDEATHSIG, SIGKILL)
            if os.getppid() != shim_pid:
                os._exit(KILLED)
        os.dup2(pipes[0], 1)
        os.dup2(pipes[1], 2)
        os.chdir("work")
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(CANNOT_RUN)


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
    while any(kill(orphan, SIGKILL) for orphan in _children_of(os.getpid())):
        os.waitpid(-1, 0)


def _children_of(pid: int) -> list[int]:
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
    return total + sum(map(memory_of, _children_of(program)))
