"""Ports for what tests start.

Not those that the system gives to a socket bound to port 0: it also gives them to outgoing connections, of which
other tests make thousands before a server can take the port. Nor those of the process runtime.
"""

from __future__ import annotations

import random
import socket

PORTS = range(10000, 20000)


def free_port() -> int:
    """One that nothing listens on; seldom the same for two who ask at once."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
