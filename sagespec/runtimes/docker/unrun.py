"""Why the program of an ended container never ran: the kernel's few words in its log, and the file they are about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sagespec.runtimes.docker.logs import log_lines
from sagespec.runtimes.docker.reading import read_anywhere
from sagespec.runtimes.first_line import HEAD_BYTES, not_run, run_by, windows_line_ends

LINES = 4  # one that is started again has said the same before
_ENV = re.compile(r"/usr/bin/env: (?:['‘](?P<program>[^'’]+)['’]: No such file or directory|use -)")
_KERNELS_WORDS = re.compile(
    r"(?:exec (?P<path>/.+?)|standard_init_linux\.go:\d+: exec user process caused): "
    r"(?:no such file or directory|exec format error)",
    re.IGNORECASE,
)
_RETURN = re.compile(r"(?:\\r|\^M|\r)['‘’:]")  # /usr/bin/env: 'sh\r': No such file; sh^M: bad interpreter


_NO_PROGRAM = re.compile(
    r'exec: "?(?P<program>[^":]+)"?: (?:.*?: )?'
    r"(?:(?P<path>executable file not found)|(?P<file>no such file or directory)|(?P<bit>permission denied))",
    re.IGNORECASE,
)


def no_program(said: str) -> str:
    """What an engine says that finds no program to start, in few words; '' for what is none of that.

    >>> no_program('runc create failed: exec: "train": executable file not found in $PATH: unknown')
    'the image has no executable train on its PATH'
    """
    found = _NO_PROGRAM.search(said)
    if not found:
        return ""
    program = found["program"]
    if found["bit"]:
        return f"{program} is not executable in the image (chmod +x)"
    return f"the image has no executable {program} on its PATH" if found["path"] else f"the image has no {program}"


def why_not_run(engine: Any, details: Mapping[str, Any]) -> str:
    """'' if it ran, as far as one can tell."""
    lines = [line for _, line in log_lines(engine, details["Id"], follow=False, tail=LINES)]

    def head_of(path: str) -> bytes | None:
        return read_anywhere(engine, details["Id"], path, HEAD_BYTES)

    return reason_of(lines, str(details["Path"]), head_of)


def may_be_kernels(lines: Sequence[str]) -> bool:
    """Whether all lines are of those that the kernel has for what it cannot run."""
    return bool(lines) and all(_KERNELS_WORDS.fullmatch(line) or _ENV.match(line) for line in lines)


def reason_of(lines: Sequence[str], path: str, head_of: Callable[[str], bytes | None]) -> str:
    """lines: its last LINES. path: what it was to run. head_of: the beginning of a file of its image."""
    if not may_be_kernels(lines):
        return ""  # it has said something else, so it ran
    found = [_KERNELS_WORDS.fullmatch(line) or _ENV.match(line) for line in lines]
    if any(map(_RETURN.search, lines)):
        return windows_line_ends(path)
    if missing := next((said["program"] for said in found if said and said.re is _ENV and said["program"]), ""):
        return run_by(path, missing, where="the image")
    path = next((said["path"] for said in found if said and said.re is _KERNELS_WORDS and said["path"]), path)
    head = head_of(path) if path.startswith("/") else None
    return not_run(path, head, where="the image") if head else ""
