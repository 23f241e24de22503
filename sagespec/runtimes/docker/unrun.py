"""Why the program of an ended container never ran: the kernel's few words in its log, and the file they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sagespec.runtimes.docker.logs import log_lines
from sagespec.runtimes.docker.reading import read_anywhere
from sagespec.runtimes.first_line import HEAD_BYTES, not_run, windows_line_ends

_LINES = 3
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
    lines = [line for _, line in log_lines(engine, details["Id"], follow=False, tail=_LINES)]
    if not lines or len(lines) == _LINES:  # it has said more, so it ran
        return ""
    path = str(details["Path"])
    if _RETURN.search(lines[0]):
        return windows_line_ends(path)
    said = _KERNELS_WORDS.fullmatch(lines[-1])
    if not said:
        return ""
    path = said["path"] or path
    head = read_anywhere(engine, details["Id"], path, HEAD_BYTES) if path.startswith("/") else None
    return not_run(path, head, where="the image") if head else ""
