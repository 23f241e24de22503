"""Whether this machine can run a program of the user's own, asked before it is started: later the kernel would say only
that there is no such file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sagespec.errors import WorldError
from sagespec.runtimes.first_line import HEAD_BYTES, has_windows_line_ends, interpreter_of, not_run

_RUNS_IN_DOCKER = "or run with --runtime docker, where the image has it"


def check_executable(program: Path, name: str) -> None:
    """WorldError when it cannot run. name: of the file, for people."""
    if not os.access(program, os.X_OK):
        raise WorldError(f"{name} is not executable", fix=f"chmod +x {name}")
    with program.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"\x7fELF") or (not has_windows_line_ends(head) and _is_there(interpreter_of(head))):
        return
    raise WorldError(
        not_run(name, head, where="this machine"),
        why="without Docker the file itself is run, by what its first line names",
        fix="correct its first line" if has_windows_line_ends(head) or not interpreter_of(head) else _RUNS_IN_DOCKER,
    )


def _is_there(interpreter: str) -> bool:
    words = interpreter.split()
    if not words or not os.access(words[0], os.X_OK):
        return False
    named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return not (words[0].endswith("/env") and named) or shutil.which(named[0]) is not None
