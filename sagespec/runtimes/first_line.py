"""Why a program cannot be run at all, by its first bytes. The kernel says only that there is no such file, and means
the interpreter that the first line names. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

HEAD_BYTES = 256


def interpreter_of(head: bytes) -> str:
    """What the first line of a script names, with the words behind it; '' if there is none.

    >>> interpreter_of(b"#!/usr/bin/env python3\\nimport os")
    '/usr/bin/env python3'
    """
    first = head.partition(b"\n")[0]
    return first[2:].decode(errors="replace").strip(" ") if first.startswith(b"#!") else ""


def has_windows_line_ends(head: bytes) -> bool:
    return head.partition(b"\n")[0].endswith(b"\r")


def windows_line_ends(path: str) -> str:
    """What to say of a file that has them."""
    return (
        f"{path} has Windows line ends (CRLF): the carriage return counts as a part of its first line; "
        f"save it with LF, as by sed -i 's/\\r$//' {PurePosixPath(path).name}"
    )


def run_by(path: str, interpreter: str, *, where: str) -> str:
    """What to say of a file whose interpreter is missing."""
    return f"{path} is to be run by {interpreter} (its first line), which {where} does not have"


def not_run(path: str, head: bytes, *, where: str) -> str:
    """Why a file that is there cannot be run. where: that its interpreter should be in."""
    if has_windows_line_ends(head):
        return windows_line_ends(path)
    if interpreter := interpreter_of(head):
        return run_by(path, interpreter, where=where)
    if head.startswith(b"\x7fELF"):
        return f"{path} was built for another kind of processor, or needs a loader that {where} does not have"
    return f"{path} does not say what runs it: its first line must name its interpreter, as #!/bin/sh does"
