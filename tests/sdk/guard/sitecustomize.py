"""Runs first in a client's process: lets it reach this machine alone, and notes whatever else it has tried.

With SAGESPEC_TEST_KERNEL the process has what the notebook's kernel adds to SageMaker's SDKs, too.
"""

import os
import socket

NOTES = os.environ.get("SAGESPEC_TEST_GUARD", "")
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "", None)


def note(what):
    with open(NOTES, "a") as notes:  # noqa: PTH123  # before anything is imported that a client may want otherwise
        notes.write(f"{what}\n")


def guarded(call):
    def connect(self, address):
        if isinstance(address, tuple) and address[0] not in LOOPBACK and not str(address[0]).startswith("127."):
            note(f"connect {address}")
            raise ConnectionRefusedError("this test lets a client reach this machine alone")
        return call(self, address)

    return connect


def getaddrinfo(host, *rest, **more):
    if (host.decode() if isinstance(host, bytes) else host) not in LOOPBACK:
        note(f"look up {host}")
        raise socket.gaierror("this test lets a client reach this machine alone")
    return look_up(host, *rest, **more)


if NOTES:
    look_up = socket.getaddrinfo
    socket.getaddrinfo = getaddrinfo
    socket.socket.connect = guarded(socket.socket.connect)
    socket.socket.connect_ex = guarded(socket.socket.connect_ex)

if os.environ.get("SAGESPEC_TEST_KERNEL"):
    from sagespec.notebook.imports import OnImport
    from sagespec.notebook.patches import PATCHES, patch

    OnImport(PATCHES, patch).install()
