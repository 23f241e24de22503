"""The files by which a shim tells of its program, and by which it knows that its container is still there.

Imported by the shim, which waits for every import, and by `containers`, which reads what is written here.
"""

# pathlib and contextlib would make every start a third slower:
# ruff: noqa: PTH108, SIM105

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

ID_VARIABLE = "SAGESPEC_CONTAINER_ID"  # set for all processes of a container
KILLED = 137  # 128 + SIGKILL, the exit code engines report
PRIVATE = 0o600  # what a program prints, and what it was started with, may hold secrets
RECORD_BYTES = 100  # more than a line has


def record_line(
    pid: int,
    started_at: float,
    exit_code: int | None = None,
    *,
    restarts: int = 0,
    last_code: int | None = None,
    ended_at: float = 0.0,
) -> bytes:
    """The content of `process`; always the same length, so that a new line replaces the old one completely.

    exit_code: written when the shim ends with its program. last_code, ended_at: how and when the program ended last,
    0 if it has not. While ended_at is not before started_at, the program waits to be started again.
    """
    codes = ["-" if code is None else code for code in (exit_code, last_code)]
    return f"{pid:>10} {started_at:>17.6f} {codes[0]:>4} {restarts:>6} {codes[1]:>4} {ended_at:>17.6f}\n".encode()


def claim() -> int | None:
    """The locked record; None if another shim holds it. (A command that lists containers holds it for microseconds.)"""
    record = open_own("process", os.O_RDWR | os.O_CREAT)
    for _ in range(40):
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return record
    return None


def open_own(name: str, flags: int) -> int:
    """A file of the shim's. FileNotFoundError for what the program has put in its place: a FIFO would be waited for,
    and what a link leads to is somebody else's."""
    try:
        file = os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise FileNotFoundError(errno.ENOENT, "not a file", name) from None
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FileNotFoundError(errno.ENOENT, "not a file", name)
    return file


def is_of_this_folder() -> bool:
    """Whether this folder still belongs to the container that we were started for.

    On a busy machine, the container may have been removed and another created under its name before we ran. Killing a
    container finds its processes by this ID, and would miss one that has another.
    """
    try:
        with open(open_own("container.json", os.O_RDONLY)) as file:
            return f'"id": "{os.environ[ID_VARIABLE]}"' in file.read()
    except OSError:
        return False


def mark(name: str, text: str = "") -> None:
    """Write a small file for `containers`. It only informs, so a failure to write it is ignored."""
    try:
        file = open_own(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError:
        pass


def unmark(name: str) -> None:
    try:
        os.unlink(name)
    except OSError:
        pass
