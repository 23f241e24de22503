"""What of a program's output is secret, for the shim: the log on the disk has *** in its place.

The shim starts with the program's environment, and so with its secrets; which variables hold them is in one of them.
"""

from __future__ import annotations

import os

SECRETS_VARIABLE = "SAGESPEC_SECRETS"  # names of the variables that are, or name a file with, a secret
HIDDEN = b"***"
SHORTEST = 6


def secrets_given() -> list[bytes]:
    """The secrets that this process was started with, each of their lines, longest first."""
    found = set()
    for name in os.environ.get(SECRETS_VARIABLE, "").split():
        value = os.environb.get(name.encode(), b"")
        if name.endswith("_FILE"):
            value = _content(value)
        found |= {part for part in (value, *value.splitlines()) if len(part) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


def masked(data: bytes, secrets: list[bytes]) -> bytes:
    """As many lines as before, so that it makes no difference in how many pieces a secret of several lines came."""
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, b"\n".join(line and HIDDEN for line in secret.split(b"\n")))
    return data


def _content(path: bytes) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, 2**16)
    finally:
        os.close(file)
