"""Keeps the Python that has this folder in PYTHONPATH on this machine, and writes down what would have left it."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address


def stays_here(host: object) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        return ip_address(str(host)).is_loopback
    except ValueError:
        return False


def guard(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # else a path: of a local socket
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not stays_here(host):
        with open(os.environ["LEFT_THIS_MACHINE"], "a") as file:  # noqa: PTH123  # as a kernel starts, less is more
            file.write(f"{event} {host}\n")
        raise ConnectionRefusedError(f"{host} is not on this machine")


if "LEFT_THIS_MACHINE" in os.environ:
    sys.addaudithook(guard)
