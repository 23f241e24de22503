"""How much memory there is, and so how large an array may get that a small body or file asks for."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

# The limit of a container as the kernel shows it inside, in both versions of cgroups.
CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
VARIABLE = "SAGESPEC_MEMORY_BYTES"  # the same for a local process, which no cgroup limits
SHARE_OF_AN_ARRAY = 2  # what is made of an array, and what it was made of, need about as much again

SMALL_BYTES = 2**14  # of JSON, which becomes a megabyte or two at most

BYTES_OF_A_LIST, BYTES_OF_A_NUMBER = 88, 32  # each with its place in the list around it


class TooLarge(ValueError):
    """An array that would not fit in memory."""


@cache
def memory_bytes() -> int:
    """What this program may use: its container's limit, or all that the machine has."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    texts = [os.environ.get(VARIABLE, ""), *(Path(name).read_text() for name in CGROUP_FILES if Path(name).is_file())]
    return min(limits + [int(text) for text in texts if text.strip().isdigit() and int(text) > 0])


def require_room(byte_count: int, what: str) -> None:
    """Raises TooLarge if an array of `byte_count` is more than one may take; `what` says of what.

    Each of a server's workers has its part of the memory.
    """
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1)
    most = memory_bytes() // (SHARE_OF_AN_ARRAY * workers)
    if byte_count > most:
        raise TooLarge(f"{what} would take {byte_count >> 20} MiB of memory; at most {most >> 20} MiB may be used here")


def require_room_for_json(text: bytes) -> None:
    """The same for what a JSON text becomes in Python, where an empty list takes thirty times the space."""
    if len(text) <= SMALL_BYTES:
        return
    lists = text.count(b"[") + text.count(b"{")
    require_room(BYTES_OF_A_LIST * lists + BYTES_OF_A_NUMBER * text.count(b","), "the body's lists and numbers")
